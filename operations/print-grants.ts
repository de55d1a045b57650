import { Command, InvalidArgumentError } from 'commander'
import { jobs } from '../jobs/index.ts'
import { endAtClosedPipe } from '../machine/closed-pipe.ts'
import { buildGrants, workerRole } from './grants.ts'

const readRole = (value: string): string => {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(value)) return value
  throw new InvalidArgumentError('must be lower-case letters, digits and underscores.')
}

const command = new Command('db:grants')
  .description("Print the SQL that gives the worker's role exactly what the jobs use.")
  .option('--role <name>', 'the role that the worker connects as', readRole, workerRole)
  .action(({ role }: { role: string }) => {
    process.stdout.write(buildGrants(jobs, role))
  })

endAtClosedPipe()
command.parse()
