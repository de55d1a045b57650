import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { stages } from '../../infra/stages.ts'
import { runShell } from '../docs/shell.ts'

const root = path.join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8')
const workflows = globSync('.github/workflows/*.yaml', { cwd: root })
const actions = globSync('.github/actions/*/action.yaml', { cwd: root })

interface Workflow {
  readonly permissions: unknown
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly if?: string
        readonly permissions?: Readonly<Record<string, string>>
        readonly strategy?: { readonly matrix: { readonly stage: readonly string[] } }
        readonly steps?: readonly {
          readonly run?: string
          readonly with?: Readonly<Record<string, unknown>>
        }[]
        readonly with?: Readonly<Record<string, string>>
        readonly needs?: string | readonly string[]
      }
    >
  >
}

const workflow = (name: string): Workflow => parse(read(`.github/workflows/${name}.yaml`)) as Workflow

const whyNoActionlint = (): string | undefined => {
  try {
    execFileSync('actionlint', ['-version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'there is no actionlint on PATH'
  }
}

const reason = whyNoActionlint()

describe.skipIf(reason)(`actionlint${reason ? ` (skipped: ${reason})` : ''}`, () => {
  it('finds no fault in the workflows', () => {
    expect(execFileSync('actionlint', { cwd: root, encoding: 'utf8' })).toBe('')
  })
})

it('every action of others is pinned to a commit, with its version beside it', () => {
  const uses = [...workflows, ...actions].flatMap((file) => read(file).match(/uses: .*/g) ?? [])
  const ofOthers = uses.filter((line) => !line.startsWith('uses: ./'))
  expect(ofOthers.length).toBeGreaterThan(0)
  expect(ofOthers.filter((line) => !/^uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([])
})

it('every workflow starts without permissions, and none but the comment on a preview may write', () => {
  for (const file of workflows) {
    const { permissions, jobs } = parse(read(file)) as Workflow
    expect(permissions).toEqual({})
    const writes = Object.values(jobs).flatMap((job) =>
      Object.entries(job.permissions ?? {}).filter(([, right]) => right === 'write')
    )
    expect(writes.map(([name]) => name).filter((name) => name !== 'id-token')).toEqual(
      file.endsWith('preview.yaml') ? ['pull-requests'] : []
    )
  }
})

it('a pull request never gets the deployer, and one from a fork gets no identity', () => {
  expect(read('.github/workflows/preview.yaml')).not.toContain('DEPLOYER')
  expect(workflow('preview').jobs.preview?.if).toBe(
    'github.event.pull_request.head.repo.full_name == github.repository'
  )
  expect(workflow('preview').jobs.fork?.permissions).toBeUndefined()
})

describe('the comment on a pull request', () => {
  const { comment, preview } = workflow('preview').jobs
  const script = comment?.steps?.find(({ run }) => run)?.run ?? ''
  const post = async (known: string) => {
    const { code, stderr, calls, files } = await runShell(script, {
      written: { gh: known },
      env: { GITHUB_REPOSITORY: 'owner/repository', PULL_REQUEST: '7', COMMIT: 'abc123' },
      before: { 'preview-dev.md': '### dev: one change\n', 'preview-prod.md': '### prod: nothing changes\n' },
      keep: ['comment.md']
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return { sent: calls.at(-1), text: files['comment.md'] }
  }

  it('is one for all stages, and says so of a stage that could not even be previewed', async () => {
    const { sent, text } = await post('')
    expect(sent?.join(' ')).toBe(
      'gh api --silent --method POST repos/owner/repository/issues/7/comments --field body=@comment.md'
    )
    expect(text).toBe(
      `<!-- preview of the stages -->
## What abc123 would change

### dev: one change

### staging: no preview, see the log

### prod: nothing changes
`
    )
  })

  it('is changed in place at the next push', async () => {
    expect((await post('41')).sent?.join(' ')).toBe(
      'gh api --silent --method PATCH repos/owner/repository/issues/comments/41 --field body=@comment.md'
    )
  })

  it('is written by a job that runs no code of the pull request, and the one that does may not write', () => {
    expect(JSON.stringify(comment?.steps)).not.toMatch(/checkout|node |npm /)
    expect(comment?.permissions).toEqual({ 'pull-requests': 'write' })
    expect(preview?.permissions).toEqual({ contents: 'read', 'id-token': 'write' })
  })
})

it('each stage has an identity and a state of its own, none that another stage could use', () => {
  for (const file of workflows) {
    const shared = read(file).match(/vars\.(\w*(IDENTITY_PROVIDER|SERVICE_ACCOUNT|BACKEND_URL)\w*)/g) ?? []
    expect(shared).toEqual([])
  }
  expect(read('.github/workflows/stage.yaml')).toContain(
    "vars[format('DEPLOYER_SERVICE_ACCOUNT_{0}', inputs.stage)]"
  )
})

it('every stage is previewed and watched for drift', () => {
  expect(workflow('preview').jobs.preview?.strategy?.matrix.stage).toEqual(stages)
  expect(workflow('drift').jobs.drift?.strategy?.matrix.stage).toEqual(stages)
})

it('one image goes from dev through staging to prod', () => {
  const { dev, staging, prod } = workflow('deploy').jobs
  expect([dev?.with, staging?.with, prod?.with]).toEqual([
    { stage: 'dev' },
    { stage: 'staging', image: '${{ needs.dev.outputs.image }}' },
    { stage: 'prod', image: '${{ needs.dev.outputs.image }}' }
  ])
  expect([dev?.needs, staging?.needs, prod?.needs]).toEqual(['check', 'dev', ['dev', 'staging']])
})

it('a deployment never refreshes, and is followed by a proof of what it made and of a run', () => {
  const steps = workflow('stage').jobs.deploy?.steps ?? []
  const up = steps.findIndex((step) => step.with?.command === 'up')
  expect(steps[up]?.with?.refresh).toBe(false)
  const proof = steps.slice(up + 1).flatMap(({ run = '' }) => run)
  expect(proof.join('\n')).toMatch(
    /npm run scheduler -- doctor --deployed --image "\$IMAGE" --stage "\$STAGE"/
  )
  expect(proof.join('\n')).toMatch(/npm run scheduler -- run \S+ --stage "\$STAGE" --wait/)
  expect(workflows.map(read).join('\n')).not.toMatch(/refresh: true|--refresh/)
})

it('the images stand on one base image, by its digest', () => {
  const bases = ['worker/Dockerfile', 'emulator/Dockerfile'].flatMap(
    (file) => read(file).match(/^FROM \S+/gm) ?? []
  )
  expect(bases).toHaveLength(4)
  expect(new Set(bases).size).toBe(1)
  expect(bases[0]).toMatch(/^FROM node:24-slim@sha256:[0-9a-f]{64}$/)
})

it('the workflows, the guide and package.json name one version of Pulumi', () => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
  const named = [...workflows, ...actions].flatMap((file) =>
    [...read(file).matchAll(/pulumi-version: (.*)/g)].map(([, version]) => version)
  )
  named.push(/`pulumi` \(([\d.]+),/.exec(read('docs/bootstrap.md'))?.[1])
  expect(named.length).toBeGreaterThan(2)
  expect(new Set(named)).toEqual(new Set([dependencies['@pulumi/pulumi']]))
})
