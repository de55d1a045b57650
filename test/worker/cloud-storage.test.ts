import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FilePlace } from '../../jobs/services.ts'
import { openStoredFiles } from '../../worker/stored-files.ts'
import { type Fault, openCloudStorageServer } from './cloud-storage-server.ts'

const server = await openCloudStorageServer('validibot-storage')
vi.stubEnv('STORAGE_EMULATOR_HOST', server.url)
const open = (url: string): FilePlace => openStoredFiles({ uploads: [new URL(url)], bundles: [] }).uploads[0]!
const place = open('gs://validibot-storage/public')
const { signal } = new AbortController()
const input = 'submissions/o1/pslug/u7/20260314/0123456789ab_model.idf'

beforeEach(() => {
  server.objects.clear()
  server.faults.clear()
  server.requests.length = 0
  server.delay = 0
  server.beforeDeletion = undefined
})
afterAll(() => server.close())

const proxyPage = "is not Cloud Storage's; look at what stands between"
const reasonOf = (request: Promise<unknown>): Promise<string> =>
  request.then(
    () => 'nothing',
    (error: unknown) => (error as Error).message
  )

describe('a deletion', () => {
  it('is of the object below the folder that the place names', async () => {
    server.objects.add(`public/${input}`).add(input).add(`private/${input}`)
    expect(await place.delete(input, signal)).toBe(true)
    expect([...server.objects]).toEqual([input, `private/${input}`])
  })

  it('in the whole bucket is of the object itself', async () => {
    server.objects.add(`public/${input}`).add(input)
    expect(await open('gs://validibot-storage').delete(input, signal)).toBe(true)
    expect([...server.objects]).toEqual([`public/${input}`])
  })

  it.each([
    'a b',
    'ä/ö',
    'x#y',
    'x?y=z',
    '100%',
    '%2e%2e/x',
    'a+b',
    '日本/🏠.idf',
    '..a/b..',
    'a:b@c',
    '[*]'
  ])('sends the name encoded: %s', async (name) => {
    server.objects.add(`public/${name}`).add('public/a').add('public/x')
    expect(await place.delete(name, signal)).toBe(true)
    expect([...server.objects]).toEqual(['public/a', 'public/x'])
    expect(server.requests).toEqual([`DELETE public/${name}`])
  })

  it('reads the folder of a place as the URL encodes it', async () => {
    server.objects.add('a b/ä#/x')
    expect(await open('gs://validibot-storage/a%20b/%C3%A4%23/').delete('x', signal)).toBe(true)
  })

  it('of an object that is not there says so', async () => {
    expect(await place.delete(input, signal)).toBe(false)
    expect(server.requests).toEqual([`DELETE public/${input}`])
  })

  it('of an object in a bucket that is not there is an error', async () => {
    const reason = await reasonOf(open('gs://validibot-storag/public').delete(input, signal))
    expect(reason).toContain('The specified bucket does not exist.')
  })

  it.each<[string, Fault, string]>([
    ['a proxy’s page with 404', { page: 404 }, `the answer (404) ${proxyPage}`],
    ['a proxy’s page with 200', { page: 200 }, `the answer to a deletion (200) ${proxyPage}`],
    ['403', 403, 'fault 403'],
    ['409', 409, 'fault 409'],
    ['412', 412, 'fault 412']
  ])('that is answered with %s is an error', async (_title, fault, reason) => {
    server.objects.add(`public/${input}`)
    server.faults.set(`public/${input}`, [fault])
    expect(await reasonOf(place.delete(input, signal))).toContain(reason)
  })

  it('that is answered with a 404 which does not say of what is decided by the listing', async () => {
    server.faults.set(`public/${input}`, [404, 404])
    expect(await place.delete(input, signal)).toBe(false)
    server.objects.add(`public/${input}`)
    expect(await reasonOf(place.delete(input, signal))).toContain('fault 404')
    server.faults.set(`public/${input}`, [404]).set(`LIST public/${input}`, [404])
    expect(await reasonOf(place.delete(input, signal))).toContain('fault 404')
  })

  it.each<Fault>([408, 429, 500, 503, 'break'])('is tried again by the client after %s', async (fault) => {
    server.objects.add(`public/${input}`)
    server.faults.set(`public/${input}`, [fault])
    expect(await place.delete(input, signal)).toBe(true)
    expect(server.requests).toHaveLength(2)
  })

  it('that hangs is let go when the run ends', async () => {
    server.faults.set(`public/${input}`, ['hang'])
    const ending = new AbortController()
    const deletion = place.delete(input, ending.signal)
    await vi.waitUntil(() => server.requests.length === 1)
    ending.abort(new Error('the budget is used up'))
    await expect(deletion).rejects.toThrow('the budget is used up')
  })

  it('is not sent once the run has ended', async () => {
    const ended = AbortSignal.abort(new Error('the budget is used up'))
    await expect(place.delete(input, ended)).rejects.toThrow('the budget is used up')
    await expect(place.deleteFolder('runs/1/a/', ended)).rejects.toThrow('the budget is used up')
    await expect(place.prove('submissions', ended)).rejects.toThrow('the budget is used up')
    expect(server.requests).toEqual([])
  })
})

describe('the deletion of a folder', () => {
  it('is of all 1,050 objects below it, by pages, 192 at a time, and of no other', async () => {
    const others = ['public/runs/1/ab/other.json', 'public/runs/1/a', 'runs/1/a/other.json']
    for (let index = 0; index < 1_050; index += 1)
      server.objects.add(`public/runs/1/a/attempts/${String(index).padStart(4, '0')}.json`)
    for (const name of others) server.objects.add(name)
    // The first 192 deletions wait for each other: fewer at a time would hang.
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
    let [waiting, mostAtOnce] = [0, 0]
    server.beforeDeletion = () => {
      waiting += 1
      if (waiting === 192)
        setImmediate(() => {
          mostAtOnce = waiting
          arrive()
        })
      return arrived
    }
    expect(await place.deleteFolder('runs/1/a/', signal)).toBe(1_050)
    expect([...server.objects]).toEqual(others)
    expect(server.requests.filter((request) => request === 'LIST public/runs/1/a/')).toHaveLength(2)
    expect(mostAtOnce).toBe(192)
  })

  it('is of a folder also where no slash says so', async () => {
    server.objects.add('public/runs/1/a/x').add('public/runs/1/ab/x')
    expect(await place.deleteFolder('runs/1/a', signal)).toBe(1)
    expect([...server.objects]).toEqual(['public/runs/1/ab/x'])
  })

  it('that holds nothing deletes nothing', async () => {
    expect(await place.deleteFolder('runs/1/a/', signal)).toBe(0)
  })

  it('counts no object that disappears meanwhile', async () => {
    const items = ['public/runs/1/a/x', 'public/runs/1/a/y'].map((name) => ({ name }))
    server.faults.set('LIST public/runs/1/a/', [{ body: { kind: 'storage#objects', items } }])
    server.objects.add('public/runs/1/a/y')
    expect(await place.deleteFolder('runs/1/a/', signal)).toBe(1)
  })

  it.each<[string, Fault]>([
    ['public/runs/1/a/y', 403],
    ['LIST public/runs/1/a/', 403],
    ['LIST public/runs/1/a/', 404],
    ['LIST public/runs/1/a/', { page: 404 }],
    ['LIST public/runs/1/a/', { page: 200 }],
    ['LIST public/runs/1/a/', { body: { kind: 'storage#objects', items: [{ name: 'public/other' }] } }]
  ])('in which %s is answered with %o is an error', async (request, fault) => {
    server.objects.add('public/runs/1/a/x').add('public/runs/1/a/y').add('public/other')
    server.faults.set(request, [fault])
    await expect(place.deleteFolder('runs/1/a/', signal)).rejects.toThrow(/fault 40|is not Cloud Storage's/)
    expect([...server.objects]).toContain('public/other')
  })
})

describe('the proof of a place', () => {
  const must = (url = place.url) => `UPLOADS_URL must name where the stored files are, got ${url}: `

  it('is an object under the first folder of the names', async () => {
    server.objects.add(`public/${input}`)
    await expect(place.prove('submissions', signal)).resolves.toBeUndefined()
    expect(server.requests).toEqual(['BUCKET', 'LIST public/submissions/'])
  })

  it('is an object that was put there for it', async () => {
    server.objects.add('public/submissions/.keep')
    await expect(place.prove('submissions', signal)).resolves.toBeUndefined()
  })

  it.each([
    'submissions/x',
    'private/submissions/x',
    'public/submissions2/x',
    'public/runs/1/a/submissions/x'
  ])('is not %s, and the sentence says what to do', async (name) => {
    server.objects.add(name)
    expect(await reasonOf(place.prove('submissions', signal))).toBe(
      `${must()}there is no object under public/submissions/; correct the place or, if it is the right place, ` +
        'put an object there: echo | gcloud storage cp - gs://validibot-storage/public/submissions/.keep'
    )
  })

  it('fails for a bucket that is not there', async () => {
    const typo = 'gs://validibot-storag/public'
    expect(await reasonOf(open(typo).prove('submissions', signal))).toMatch(
      /^UPLOADS_URL must .+: there is no bucket 'validibot-storag' \(404: The specified bucket does not exist\.\); correct its name$/
    )
  })

  it('names the other setting where it is that one’s', async () => {
    const { bundles } = openStoredFiles({ uploads: [], bundles: [new URL('gs://validibot-storage')] })
    expect(await reasonOf(bundles[0]!.prove('runs', signal))).toContain(
      'BUNDLES_URL must name where the stored files are, got gs://validibot-storage: there is no object under runs/; '
    )
  })

  it.each<[string, Fault, string]>([
    ['BUCKET', { page: 404 }, `the answer (404) ${proxyPage}`],
    ['BUCKET', { page: 200 }, `the answer to the request for the bucket ${proxyPage}`],
    [
      'BUCKET',
      { body: { kind: 'storage#bucket', name: 'other' } },
      "the answer is for another bucket, 'other'"
    ],
    [
      'BUCKET',
      403,
      "the worker's account may not look at it (403: fault 403); it needs roles/storage.legacyBucketWriter on gs://validibot-storage"
    ],
    ['LIST public/submissions/', { page: 200 }, `the answer to a listing ${proxyPage}`],
    ['LIST public/submissions/', 403, "the worker's account may not look at it"]
  ])('fails where %s is answered with %o', async (request, fault, reason) => {
    server.objects.add(`public/${input}`)
    server.faults.set(request, [fault])
    expect(await reasonOf(place.prove('submissions', signal))).toContain(must() + reason)
  })

  it('waits for a 503 to pass', async () => {
    server.objects.add(`public/${input}`)
    server.faults.set('BUCKET', [503]).set('LIST public/submissions/', [503])
    await expect(place.prove('submissions', signal)).resolves.toBeUndefined()
  })
})
