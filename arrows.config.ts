import type { IConfiguration, IForbiddenRuleType } from 'dependency-cruiser'

/**
 * What each room may import from the others, as prefixes of paths: `npm run check:arrows`. All else is refused, including
 * imports of types and dynamic imports. test/ may import everything.
 */
const rooms: Readonly<Record<string, readonly string[]>> = {
  schedule: [],
  machine: [],
  jobs: ['schedule/'],
  worker: ['jobs/', 'schedule/'],
  operations: ['jobs/', 'machine/', 'worker/(database|database/(address|pool)|migrations)\\.ts$'],
  infra: ['jobs/', 'schedule/'],
  // Usable with any project: it knows nothing of our jobs.
  emulator: ['schedule/', 'machine/'],
  // It shows whatever stage is behind its interface (console/source.ts).
  console: ['schedule/', 'infra/(declaration|incidents|overdue|troubles)\\.ts$', 'jobs/answer\\.ts$'],
  local: ['console/', 'emulator/', 'infra/', 'jobs/', 'machine/', 'operations/', 'schedule/', 'worker/'],
  // A rule below narrows infra/ to its plain data.
  cli: ['console/', 'infra/', 'jobs/', 'machine/', 'schedule/']
}

const describe = (paths: readonly string[]): string =>
  paths.map((path) => path.replace(/\\|\$$/g, '')).join(', ') || 'nothing of ours'

/** The folders at the top that hold programs. */
export const roomNames = [...Object.keys(rooms), 'test']

const roomRules = Object.entries(rooms).map(([room, paths]): IForbiddenRuleType => ({
  name: `${room}/ imports only ${describe(paths)}`,
  severity: 'error',
  from: { path: `^${room}/` },
  to: {
    pathNot: ['(^|/)node_modules/', ...[`${room}/`, ...paths].map((path) => `^${path}`)],
    // Node.js itself is allowed; a missing file is for the compiler to find.
    dependencyTypesNot: ['core', 'unknown']
  }
}))

const moreRules: readonly IForbiddenRuleType[] = [
  {
    name: 'a folder at the top is one of the rooms',
    severity: 'error',
    comment: 'Give it a line in arrows.config.ts, in test/arrows.test.ts and in the README.',
    from: { path: '^[^/]+/', pathNot: `^(${roomNames.join('|')})/` },
    to: {}
  },
  {
    name: 'nobody imports test/',
    severity: 'error',
    // Vitest's configuration belongs to the tests.
    from: { pathNot: '^(test/|vitest\\.config\\.ts$)' },
    to: { path: '^test/' }
  },
  {
    name: 'no import leads back to where it started',
    severity: 'error',
    from: {},
    to: { circular: true }
  },
  {
    name: 'jobs/ has of libraries only zod',
    severity: 'error',
    comment: 'A job is data; what it needs done is done by the worker.',
    from: { path: '^jobs/' },
    to: { dependencyTypesNot: ['local'], pathNot: '(^|/)node_modules/zod/' }
  },
  {
    name: 'schedule/ has of libraries only croner and cronstrue',
    severity: 'error',
    comment: 'It is pure: not even a clock.',
    from: { path: '^schedule/' },
    to: { dependencyTypesNot: ['local'], pathNot: '(^|/)node_modules/(croner|cronstrue)/' }
  },
  {
    name: 'only infra/ and cli/ know Pulumi',
    severity: 'error',
    from: { pathNot: '^(infra|cli|test)/' },
    to: { path: '(^|/)node_modules/@pulumi/' }
  },
  {
    name: 'the declaration reaches no Pulumi',
    severity: 'error',
    comment: 'It is plain data, which `npm start` and the commands compute too.',
    from: { path: '^infra/(declaration|stage-declaration)\\.ts$' },
    to: { path: '(^|/)node_modules/@pulumi/', reachable: true }
  },
  {
    name: 'only infra/ reaches resources',
    severity: 'error',
    comment: 'The other rooms import of infra/ what is plain data.',
    from: { pathNot: '^(infra|test)/' },
    to: { path: '(^|/)node_modules/@pulumi/(gcp|docker)/', reachable: true }
  },
  {
    name: 'the page imports only the page',
    severity: 'error',
    comment: 'It runs in a browser; the console serves nothing else to it.',
    from: { path: '^console/page/' },
    to: { pathNot: ['^console/page/', '^\\.\\./uplot/'] }
  }
]

export default {
  forbidden: [...roomRules, ...moreRules],
  options: {
    exclude: { path: '^(emulator/)?(dist|coverage)/|^\\.[^./]' },
    doNotFollow: { path: '(^|/)node_modules/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types']
    },
    skipAnalysisNotInRules: true
  }
} satisfies IConfiguration
