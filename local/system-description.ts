import type { Declaration } from '../infra/declaration.ts'
import type { LocalOptions } from './options.ts'
import type { LocalSystem } from './system.ts'

// Where the commands look by default.
const presetUrl = 'http://127.0.0.1:8085'

/** Where everything is and how to talk to it, in lines that can be pasted into a shell. */
export const describeSystem = (
  { addresses, data, caller }: LocalSystem,
  { jobs }: Declaration,
  { databaseUrl, uploadsUrl = 'unknown', bundlesUrl = 'unknown', clock }: LocalOptions
): string => {
  const { consoleUrl, schedulerUrl, workerUrl, project, region, stage } = addresses
  const location = `projects/${project}/locations/${region}`
  const [first] = jobs
  return [
    `stage ${stage}, ${jobs.length} jobs${clock ? `, virtual time from ${clock.toISOString()}` : ''}`,
    '',
    `console      ${consoleUrl}`,
    `scheduler    ${schedulerUrl}/v1/${location}/jobs`,
    `worker       ${workerUrl}`,
    `database     ${addresses.databaseUrl}`,
    ...(databaseUrl === undefined
      ? [`stored files ${data.storage}`]
      : [`uploads      ${uploadsUrl}`, `bundles      ${bundlesUrl}`]),
    `worker's log ${data.workerLog}`,
    data.isKept
      ? `data         ${data.path}, kept`
      : 'data         a scratch folder, gone at the end: --data FOLDER keeps it',
    ...(databaseUrl === undefined
      ? []
      : [
          '',
          'The jobs clean the database you gave.',
          ...(uploadsUrl === 'unknown'
            ? [
                'Nobody said where its files are: what has files is not purged. --uploads-url and --bundles-url say so.'
              ]
            : ['Stored files are deleted in the places above.']),
          'Whether a validator still executes on Cloud Run is asked with your login (gcloud auth application-default login);',
          'without one its run waits.'
        ]),
    '',
    `npm run scheduler -- list --stage local${schedulerUrl === presetUrl ? '' : ` --url ${schedulerUrl}`}`,
    `export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER=${schedulerUrl}/ CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT=${project}`,
    `gcloud scheduler jobs list --location=${region}`,
    ...(first
      ? [
          `curl -X POST ${schedulerUrl}/v1/${location}/jobs/${first.name}:run`,
          `TOKEN=$(curl -s -H 'Metadata-Flavor: Google' '${schedulerUrl}/computeMetadata/v1/instance/service-accounts/${caller}/identity?audience=${workerUrl}')`,
          `curl -X POST -H "Authorization: Bearer $TOKEN" ${workerUrl}${first.path}`
        ]
      : []),
    ...(clock
      ? [
          `curl -X POST ${schedulerUrl}/emulator/v1/clock:advance -H 'Content-Type: application/json' -d '{"by": "3600s"}'`
        ]
      : []),
    '',
    'Ctrl-C stops everything.',
    ''
  ].join('\n')
}
