import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

// Follows the README's steps for adding a job: adds a newcomer's job to a copy of the checkout and runs all checks
// there, or only the commands given. Prints each file that this took.

const root = join(import.meta.dirname, '..')

const job = `import * as z from 'zod'
import { defineJob } from './define-job.ts'

const defaultDays = 90

/** Deletes entries of the audit log older than \`days\`. */
export const clearAuditLog = defineJob({
  id: 'clear-audit-log',
  schedule: '30 5 * * 1',
  description: \`Delete entries of the audit log that are more than \${defaultDays} days old.\`,
  attemptDeadline: 1_200,
  rows: ['entry', 'entries'],
  verb: 'deleted',
  maxRows: 200_000,
  parameters: z.object({
    days: z.int().min(1).max(36_500).describe('keep entries this many days').exactOptional()
  }),
  selection: ({ days = defaultDays }) => ({
    from: 'audit_log',
    time: 'at',
    key: 'id',
    keyType: 'bigint',
    due: "at < $1 - make_interval(hours => 24 * ($2 ->> 'days')::int)",
    input: { days }
  }),
  work: 'delete'
})
`

const jobTest = `import { expect, it } from 'vitest'
import { readRows } from '../rows.ts'
import { createWorkerAt } from '../worker/worker-under-test.ts'

const { sql, run } = await createWorkerAt('2026-03-01T05:30:00Z')

it('clear-audit-log deletes entries more than 90 days old, and keeps the others', async () => {
  await sql\`
    insert into audit_log (id, at)
    values (1, '2025-12-01T05:29:59Z'), (2, '2025-12-01T05:30:00Z')\`
  expect((await run('clear-audit-log')).body).toMatchObject({ affected: 1, more: false })
  expect(await readRows(sql, 'audit_log')).toMatchObject([{ id: 2 }])
})
`

const deletion = `  'clear-audit-log': {
    table: 'audit_log',
    key: 'id',
    time: 'at',
    days: 90,
    row: { id: 'floor(random() * 9e15)::bigint', at: 'at' }
  },
`

const schema = `
create table audit_log (
  id bigint primary key,
  at timestamptz not null
);

create index audit_log_at on audit_log (at);
`

const demoData = `
insert into audit_log (id, at)
select n, now() - n * interval '1 day'
from generate_series(1, 200) n;
`

const allCommands = ['npm run check', 'npm run soak -- --small --seed 5', 'npm run bench -- jobs --small']

const main = (): void => {
  const copy = copyCheckout()
  try {
    const write = (path: string, text: string): void => writeFileSync(join(copy, path), text)
    const change = (path: string, before: string, after: string): void => {
      const text = readFileSync(join(copy, path), 'utf8')
      if (!text.includes(before)) throw new Error(`${path} must hold '${before}'`)
      write(
        path,
        text.replace(before, () => after)
      )
    }
    const append = (path: string, text: string): void => appendFileSync(join(copy, path), text)
    write('jobs/clear-audit-log.ts', job)
    change(
      'jobs/index.ts',
      "import { clearSessions } from './clear-sessions.ts'\n",
      "import { clearAuditLog } from './clear-audit-log.ts'\nimport { clearSessions } from './clear-sessions.ts'\n"
    )
    change('jobs/index.ts', '\n])', ',\n  clearAuditLog\n])')
    write('test/jobs/clear-audit-log.test.ts', jobTest)
    refuses(copy, 'npm run check:types', 'clear-audit-log')
    change(
      'test/jobs/deletions.ts',
      '  }\n} as const',
      `  },\n${deletion.trimEnd().replace(/,$/, '')}\n} as const`
    )
    append('local/database/schema.sql', schema)
    append('local/database/demo-data.sql', demoData)

    const declare = `node -e "import('./infra/stage-declaration.ts').then((it) => it.readDeclaration('dev'))"`
    refuses(copy, declare, 'raise timeoutSeconds in Pulumi.yaml')
    change('Pulumi.yaml', 'default: 900', 'default: 1200')
    const byHand = listChanges(copy)

    execute(copy, 'npm run format')
    execute(copy, 'npx vitest run test/infra/inventory.test.ts --update')
    const written = listChanges(copy).filter((path) => !byHand.includes(path))
    const commands = process.argv.length > 2 ? process.argv.slice(2) : allCommands
    const failed = commands.filter((command) => !succeeds(copy, command))

    print(`\nA seventh job takes ${byHand.length} files:`, ...byHand.map((path) => `  ${path}`))
    print(`and ${written.length} that commands write:`, ...written.map((path) => `  ${path}`))
    print(...commands.map((command) => `${failed.includes(command) ? 'failed' : 'passed'}  ${command}`))
    if (failed.length > 0) process.exitCode = 1
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** The files as they are now, committed or not, in a repository of their own. */
const copyCheckout = (): string => {
  const copy = mkdtempSync(join(tmpdir(), 'seventh-job-'))
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8'
  })
  for (const path of files.split('\0').filter((one) => one !== '')) {
    mkdirSync(dirname(join(copy, path)), { recursive: true })
    copyFileSync(join(root, path), join(copy, path))
  }
  execute(copy, 'git init --quiet && git add --all')
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

const listChanges = (copy: string): string[] => {
  const git = (options: string): string[] =>
    execFileSync('git', options.split(' '), { cwd: copy, encoding: 'utf8' }).split('\n')
  return [...git('diff --name-only'), ...git('ls-files --others --exclude-standard')]
    .filter((path) => path !== '' && path !== 'node_modules')
    .toSorted()
}

/** @throws Error unless the command fails, with `words` in its output. */
const refuses = (copy: string, command: string, words: string): void => {
  const { status, stdout, stderr } = spawnSync(command, { cwd: copy, shell: true, encoding: 'utf8' })
  const lines = `${stdout}${stderr}`.split('\n').filter((line) => line.includes(words))
  if (status === 0 || lines.length === 0)
    throw new Error(`'${command}' must fail with '${words}', got\n${stdout}${stderr}`)
  print(`\n== ${command}`, ...lines.map((line) => `refused: ${line.trim().slice(0, 200)}`))
}

const succeeds = (copy: string, command: string): boolean => {
  print(`\n== ${command}`)
  return spawnSync(command, { cwd: copy, shell: true, stdio: 'inherit' }).status === 0
}

const execute = (copy: string, command: string): void => {
  if (!succeeds(copy, command)) throw new Error(`'${command}' must succeed`)
}

const print = (...lines: string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)

main()
