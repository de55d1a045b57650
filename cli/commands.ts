import { Command, CommanderError } from 'commander'
import { stages } from '../infra/stages.ts'
import { longestWait } from '../infra/troubles.ts'
import type { DeclaredJob } from '../infra/declaration.ts'
import { answerAlerts } from './alerts.ts'
import { type Answer, formatAnswer } from './answer.ts'
import { CommandError, UsageError } from './command-error.ts'
import { findGooglePage, openBrowser, serveConsole } from './console.ts'
import { answerDeleteAll, refuseDeletion } from './delete-all.ts'
import { answerDoctor } from './doctor.ts'
import { answerHistory, type LogRange } from './history.ts'
import { findJob, findStageOfName } from './job-names.ts'
import { answerList, type StageJobs } from './list.ts'
import { readLocalTime } from './local-system.ts'
import { answerLogs, followLogs } from './logs.ts'
import { openWorkspace } from './managed-jobs.ts'
import { answerNext } from './next.ts'
import {
  type CommonOptions,
  jsonOption,
  parseInstant,
  parseParameter,
  parseSince,
  parseStage,
  parseWhole,
  stageOption,
  urlOption
} from './options.ts'
import { paceOf } from './poll.ts'
import { answerPause, answerPauseAll } from './pause.ts'
import { answerRun, refuseParameters } from './run.ts'
import type { ScheduledJob } from './scheduled-jobs.ts'
import { openSession, type Session } from './session.ts'
import { openStage, type StageTarget } from './stage.ts'
import { findTroublesOf } from './stage-troubles.ts'
import type { Surroundings } from './surroundings.ts'
import { findDatabaseFault } from './worker-readiness.ts'

/** The surroundings in which commands run, and where they print. */
export interface Shell extends Surroundings {
  /** stdout and stderr; every text ends with a newline. */
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Whether a person reads stdout. */
  readonly isForPeople: boolean
}

/** Runs one command line. Returns 0 on success, 1 on failure, 2 on wrong usage. */
export const runCommandLine = async (words: readonly string[], given: Shell): Promise<number> => {
  const shell = keepUrl(words, given)
  let exitCode = 0
  const reply = (options: Pick<CommonOptions, 'json'>, answer: Answer): void => {
    shell.out(
      options.json ? `${JSON.stringify(answer.json, null, 2)}\n` : formatAnswer(answer, shell.isForPeople)
    )
    for (const note of answer.notes ?? []) shell.err(`${note}\n`)
    exitCode = answer.failed ? 1 : 0
  }
  try {
    await buildProgram(shell, reply).parseAsync(words, { from: 'user' })
    return exitCode
  } catch (error) {
    // Commander has already printed its own message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    // A CommandError is shown even then: it may say what could not be undone.
    if (shell.signal.aborted && !(error instanceof CommandError)) {
      shell.err('interrupted\n')
      return 1
    }
    shell.err(`${error instanceof Error ? error.message : String(error)}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

/** Adds the given --url to every command that the output tells people to run, so that it reaches the same system. */
const keepUrl = (words: readonly string[], shell: Shell): Shell => {
  const position = words.findIndex((word) => word === '--url' || word.startsWith('--url='))
  const url = words[position]?.slice('--url='.length) || words[position + 1]
  if (position < 0 || url === undefined) return shell
  const keep = (text: string): string => text.replaceAll(hint, `$& --url ${url}`)
  return {
    ...shell,
    out: (text) => shell.out(keep(text)),
    err: (text) => shell.err(keep(text)),
    progress: (text) => shell.progress(keep(text))
  }
}

const hint = /npm run scheduler -- [^'`\n]*--stage local\b(?![^'`\n]* --url)/g

type Reply = (options: Pick<CommonOptions, 'json'>, answer: Answer) => void

const buildProgram = (shell: Shell, reply: Reply): Command => {
  const program = new Command('scheduler')
    .description('The scheduled jobs of dev, staging, prod and of the local system')
    .exitOverride()
    .configureOutput({
      writeOut: shell.out,
      writeErr: shell.err,
      outputError: (text, write) => write(addKnown(text))
    })
  const addKnown = (text: string): string =>
    text.includes('unknown command')
      ? `${text.trimEnd()}\nThe commands are ${program.commands.map((command) => command.name()).join(', ')}.\n`
      : text
  const add = (name: string, description: string): Command =>
    program.command(name).description(description).addOption(urlOption()).addOption(jsonOption())
  /** For commands of one job. */
  const ofJob = async (
    options: CommonOptions,
    text: string,
    use: (session: Session, job: DeclaredJob) => Promise<Answer>,
    refuse: (job: DeclaredJob) => void = () => undefined
  ): Promise<void> => {
    const { target, job } = await findTarget(options, text)
    refuse(job)
    await using session = await openSession(target, shell)
    reply(options, await use(session, job))
  }
  const ofStage = async (
    options: CommonOptions,
    use: (session: Session) => Promise<Answer>
  ): Promise<void> => {
    const target = await openStage(requireStage(options.stage), options.url)
    await using session = await openSession(target, shell)
    reply(options, await use(session))
  }

  add('list', 'every job of a stage, or of all in Google Cloud: schedule, next run, state, last attempt')
    .addOption(stageOption())
    .action(async (options: CommonOptions) => {
      const names = options.stage === undefined ? stages : [options.stage]
      reply(
        options,
        answerList(
          await Promise.all(names.map((name) => readStage(name, options, shell))),
          shell.isForPeople && !options.json
        )
      )
    })

  add('run', 'run a job now')
    .argument('<job>', 'id or full name')
    .addOption(stageOption())
    .option('--wait', 'wait for the run to end; the exit code is its outcome')
    .option('--dry-run', 'count the due rows, change nothing')
    .option('--param <name=value>', 'a parameter of this run, such as days=60; repeatable', parseParameter)
    .option('--timeout <seconds>', 'how long to wait for the run', parseWhole(1, longestWait))
    .action((text: string, options: CommonOptions & RunFlags) => {
      const { wait = false, dryRun = false, param = {}, timeout } = options
      const parameters = { ...param, ...(dryRun ? { dry_run: true } : {}) }
      return ofJob(
        options,
        text,
        (session, job) => answerRun(session, job, { wait, parameters, timeout }, shell),
        (job) => refuseParameters(job.id, parameters)
      )
    })

  for (const verb of ['pause', 'resume'] as const) {
    add(verb, `${verb} a job`)
      .argument('<job>', 'id or full name')
      .addOption(stageOption())
      .action((text: string, options: CommonOptions) =>
        ofJob(options, text, (session, job) => answerPause(session, verb, job))
      )
    add(`${verb}-all`, `${verb} every job of a stage`)
      .addOption(stageOption())
      .action((options: CommonOptions) => ofStage(options, (session) => answerPauseAll(session, verb)))
  }

  add('delete-all', 'delete every job of a stage, and nothing else of it')
    .argument('<stage>', 'the stage', parseStage)
    .option('--yes', 'do not ask')
    .option('--without-pulumi', 'delete through Cloud Scheduler: Pulumi does not manage the stage')
    .action(async (stage: string, options: CommonOptions & { yes?: boolean; withoutPulumi?: boolean }) => {
      const { yes: isConfirmed = false, withoutPulumi = false } = options
      const target = await openStage(stage, options.url)
      refuseDeletion(target, isConfirmed, shell)
      await using session = await openSession(target, shell)
      const workspace = withoutPulumi ? undefined : (shell.openWorkspace ?? openWorkspace)
      reply(options, await answerDeleteAll(session, { isConfirmed, openWorkspace: workspace }, shell))
    })

  add('next', 'every tick to come of a job, or of all, with what daylight saving does to them')
    .argument('[job]', 'id or full name')
    .addOption(stageOption())
    .option('--days <days>', 'how far to look', parseWhole(1, 400), 7)
    .option('--from <instant>', 'start at this instant; now by default', parseInstant)
    .action(async (text: string | undefined, options: CommonOptions & { days: number; from?: Date }) => {
      const stage = options.stage ?? (text === undefined ? undefined : findStageOfName(text))
      const { name, declaration, local } = await openStage(requireStage(stage), options.url)
      const jobs = text === undefined ? declaration.jobs : [findJob(declaration, text)]
      const from = options.from ?? (local ? await readLocalTime(local) : shell.clock.now())
      reply(options, answerNext(name, { ...declaration, jobs }, from, options.days, shell.isForPeople))
    })

  const addRange = (command: Command): Command =>
    command
      .addOption(stageOption())
      .option('--since <time>', 'start at: 90m, 6h, 7d, a day or an instant', parseSince)
      .option('--limit <lines>', 'show at most this many lines, the newest', parseWhole(1, 5_000), 200)
  addRange(add('history', 'the runs of a job, or of all, with their outcomes'))
    .argument('[job]', 'id or full name')
    .action((text: string | undefined, options: CommonOptions & RangeFlags) => {
      const answer = (session: Session, job?: DeclaredJob): Promise<Answer> =>
        answerHistory(session, job, readRange(options, session.target, shell))
      return text === undefined ? ofStage(options, answer) : ofJob(options, text, answer)
    })
  addRange(add('logs', 'what the worker and Cloud Scheduler say of a job'))
    .argument('<job>', 'id or full name')
    .option('--follow', 'keep printing new lines until Ctrl-C')
    .option('--timeout <seconds>', 'how long to follow', parseWhole(1, 86_400))
    .action(async (text: string, options: CommonOptions & RangeFlags & FollowFlags) => {
      if (!options.follow) {
        return ofJob(options, text, (session, job) =>
          answerLogs(session, job, readRange(options, session.target, shell))
        )
      }
      const { target, job } = await findTarget(options, text)
      await using session = await openSession(target, shell)
      const patience = {
        ...paceOf(target),
        total: options.timeout === undefined ? Number.POSITIVE_INFINITY : options.timeout * 1000
      }
      await followLogs(session, job, readRange(options, target, shell), patience, shell, (line, parts) =>
        shell.out(`${options.json ? JSON.stringify(line) : parts.join(shell.isForPeople ? '  ' : '\t')}\n`)
      )
    })

  add('alerts', 'the alerts that fire now, with what the runbook says to do')
    .addOption(stageOption())
    .action((options: CommonOptions) =>
      ofStage(options, async (session) => {
        const { local } = session.target
        return answerAlerts(session, local ? await readLocalTime(local) : shell.clock.now())
      })
    )

  add('doctor', 'what is wrong with a stage, and what to do about it')
    .addOption(stageOption())
    .option(
      '--deployed',
      'verify a deployment: only what it creates is checked, and a check that can’t be made fails'
    )
    .option('--image <image>', 'the image that the service has to run, by digest')
    .action((options: CommonOptions & { deployed?: boolean; image?: string }) =>
      ofStage(options, (session) =>
        answerDoctor(session, {
          now: shell.clock.now(),
          isForPeople: shell.isForPeople,
          isProof: options.deployed ?? false,
          image: options.image
        })
      )
    )

  add('console', "open the stage's console in the browser; in Google Cloud serve it until Ctrl-C")
    .addOption(stageOption())
    .option('--print', 'print its address only')
    .option(
      '--port <port>',
      'where to serve it on this machine; any that is free by default',
      parseWhole(1, 65_535),
      0
    )
    .option('--from <file>', "show what 'history --json' has printed, not the stage itself")
    .action(async (options: CommonOptions & ConsoleFlags) => {
      const target = await openStage(requireStage(options.stage), options.url)
      const show = (url: string): void => {
        reply(options, { json: { stage: target.name, url }, blocks: [url] })
        if (shell.isForPeople && !options.print && !options.json) openBrowser(url)
      }
      if (target.local && options.from === undefined) return show(target.local.consoleUrl)
      await serveConsole(target, { port: options.port, file: options.from }, shell, (url) => {
        show(url)
        shell.err(`Ctrl-C ends it. Google's own page: ${findGooglePage(target)}\n`)
      })
    })
  return program
}

interface ConsoleFlags {
  readonly print?: boolean
  readonly port: number
  readonly from?: string
}

interface RunFlags {
  readonly wait?: boolean
  readonly dryRun?: boolean
  readonly param?: Readonly<Record<string, unknown>>
  readonly timeout?: number
}

interface FollowFlags {
  readonly follow?: boolean
  readonly timeout?: number
}

interface RangeFlags {
  readonly since?: (now: Date) => Date
  readonly limit: number
}

/** Without --stage, a job's full name tells the stage. A wrong name is reported before anything is sent. */
const findTarget = async (
  { stage, url }: CommonOptions,
  text: string
): Promise<{ target: StageTarget; job: DeclaredJob }> => {
  const target = await openStage(requireStage(stage ?? findStageOfName(text)), url)
  return { target, job: findJob(target.declaration, text) }
}

const requireStage = (stage: string | undefined): string => {
  if (stage !== undefined) return parseStage(stage)
  throw new UsageError('--stage must be given: dev, staging, prod or local')
}

// For Google Cloud a day is enough to begin with; the local log holds only what happened since the start.
const presetHours = 24

const readRange = (
  { since, limit }: RangeFlags,
  { local }: StageTarget,
  { clock }: Surroundings
): LogRange => {
  const now = clock.now()
  if (since) return { since: since(now), limit }
  return { since: local ? undefined : new Date(now.getTime() - presetHours * 3_600_000), limit }
}

/** The jobs of one stage for the list; a stage that can't be read does not hide the others. */
const readStage = async (name: string, { url, json }: CommonOptions, shell: Shell): Promise<StageJobs> => {
  const target = await openStage(name, url)
  const { declaration, local } = target
  const now = local ? await readLocalTime(local) : shell.clock.now()
  try {
    await using session = await openSession(target, shell)
    const found = await session.jobs.list()
    // Troubles are listed for people only: other programs get them from the JSON of `doctor` or `alerts`.
    const troubles = shell.isForPeople && !json ? await lookForTroubles(session, found, now) : {}
    return { stage: name, declaration, now, found, ...troubles }
  } catch (error) {
    if (error instanceof CommandError)
      return { stage: name, declaration, now, found: [], fault: error.message }
    throw error
  }
}

/** Without the right to read the log, the list is still worth showing. */
const lookForTroubles = async (
  session: Session,
  found: readonly ScheduledJob[],
  now: Date
): Promise<Pick<StageJobs, 'troubles'>> => {
  try {
    const fault = await findDatabaseFault(session)
    return { troubles: await findTroublesOf(session, found, now, fault) }
  } catch (error) {
    if (error instanceof CommandError) return {}
    throw error
  }
}
