import { expect, it } from 'vitest'
import { callGoogle } from '../../cli/google-error.ts'
import { run } from './command-line.ts'
import { endpointsOf, startGoogle } from './stages.ts'

const call = {
  doing: 'list the jobs in dev',
  project: 'my-project',
  permission: 'cloudscheduler.jobs.list',
  role: 'roles/cloudscheduler.viewer'
}

// As the client libraries and google-auth-library throw them.
it.each([
  {
    title: 'no credentials',
    error: new Error(
      'Could not load the default credentials. Browse to https://cloud.google.com/… for more information.'
    ),
    sentence:
      "there are no valid Application Default Credentials; log in with 'gcloud auth application-default login'"
  },
  {
    title: 'credentials that have run out',
    error: Object.assign(new Error('invalid_grant'), {
      response: { status: 400, data: { error: 'invalid_grant' } }
    }),
    sentence:
      "there are no valid Application Default Credentials; log in with 'gcloud auth application-default login'"
  },
  {
    title: 'a token that is refused',
    error: Object.assign(new Error('Request had invalid authentication credentials.'), { code: 16 }),
    sentence:
      "there are no valid Application Default Credentials; log in with 'gcloud auth application-default login'"
  },
  {
    title: 'a right that is missing',
    error: Object.assign(new Error('The principal lacks IAM permission "cloudscheduler.jobs.list"'), {
      code: 7
    }),
    sentence: 'it needs cloudscheduler.jobs.list in my-project; ask for roles/cloudscheduler.viewer'
  },
  {
    title: 'a job that may not act as its caller',
    error: Object.assign(
      new Error('The principal lacks IAM permission "iam.serviceAccounts.actAs" for the resource "a@b.c"'),
      { code: 7 }
    ),
    sentence:
      'it needs iam.serviceAccounts.actAs on the account that the job calls as; ask for roles/iam.serviceAccountUser on it'
  },
  {
    title: 'an API that is not enabled',
    error: Object.assign(
      new Error(
        'Cloud Scheduler API has not been used in project 1 before or it is disabled. Enable it by visiting https://console.developers.google.com/apis/api/cloudscheduler.googleapis.com/overview?project=1'
      ),
      { code: 7, reason: 'SERVICE_DISABLED' }
    ),
    sentence:
      "cloudscheduler.googleapis.com is not enabled in my-project; deploy the stage, or run 'gcloud services enable cloudscheduler.googleapis.com'"
  },
  {
    title: 'no quota project',
    error: Object.assign(
      new Error(
        'The cloudscheduler.googleapis.com API requires a quota project, which is not set by default.'
      ),
      {
        code: 7
      }
    ),
    sentence:
      "the credentials name no quota project; run 'gcloud auth application-default set-quota-project my-project'"
  },
  {
    title: 'no network',
    error: new Error('request failed', {
      cause: new Error('getaddrinfo ENOTFOUND cloudscheduler.googleapis.com')
    }),
    sentence:
      'Google could not be reached (request failed getaddrinfo ENOTFOUND cloudscheduler.googleapis.com); look at the network and try again'
  },
  {
    title: 'a quota that is used up',
    error: Object.assign(new Error("Quota exceeded for quota metric 'Read requests'\nat x.ts:1"), {
      code: 8
    }),
    sentence:
      "the quota of my-project is used up (Quota exceeded for quota metric 'Read requests'); try again in a minute"
  },
  {
    title: 'a server that does not come back while it is tried',
    error: Object.assign(new Error('Total timeout of API exceeded 5000 milliseconds'), { code: 4 }),
    sentence:
      'Google could not be reached (Total timeout of API exceeded 5000 milliseconds); look at the network and try again'
  },
  {
    title: 'anything else',
    error: Object.assign(new Error('Location is not valid.\nat x.ts:1'), { code: 3 }),
    sentence: 'Location is not valid.'
  }
])('$title is a sentence', async ({ error, sentence }) => {
  await expect(callGoogle(call, () => Promise.reject(error))).rejects.toThrow(
    expect.objectContaining({ message: `can't list the jobs in dev: ${sentence}` }) as Error
  )
})

it.each([
  { words: ['list', '--stage', 'dev'], permission: 'list', role: 'viewer' },
  { words: ['run', 'validibot-clear-sessions-dev'], permission: 'run', role: 'jobRunner' },
  { words: ['run', 'validibot-clear-sessions-dev', '--dry-run'], permission: 'get', role: 'viewer' },
  { words: ['pause', 'validibot-clear-sessions-dev'], permission: 'pause', role: 'admin' },
  { words: ['resume', 'validibot-clear-sessions-dev'], permission: 'enable', role: 'admin' }
])(
  '$words names the right that it lacks, from the answer of the API',
  async ({ words, permission, role }) => {
    // It serves another project, and denies this one as Google does.
    await using google = await startGoogle([], { project: 'other' })
    const { code, err } = await run(words, { endpoints: endpointsOf(google) })
    expect(code).toBe(1)
    expect(err).toContain(
      `it needs cloudscheduler.jobs.${permission} in your-google-project; ask for roles/cloudscheduler.${role}\n`
    )
  }
)

it.each(['history', 'logs'])('%s names the right to read the log', async (command) => {
  await using google = await startGoogle([], { project: 'other' })
  const { code, err } = await run([command, 'validibot-clear-sessions-dev'], {
    endpoints: endpointsOf(google)
  })
  expect({ code, err }).toEqual({
    code: 1,
    err: "can't read the log of dev: it needs logging.logEntries.list in your-google-project; ask for roles/logging.viewer\n"
  })
})
