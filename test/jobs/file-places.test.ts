import { describe, expect, it } from 'vitest'
import { filePlacesForm, findNameFault, parseFilePlaces, prefixOf } from '../../jobs/file-places.ts'

describe('a list of places', () => {
  it.each<[string, string[], string[]]>([
    ['gs://bucket', ['gs://bucket'], ['']],
    ['gs://bucket/', ['gs://bucket/'], ['']],
    [
      'gs://b_1.example/public gs://b_1.example/private',
      ['gs://b_1.example/public', 'gs://b_1.example/private'],
      ['public', 'private']
    ],
    [
      '  gs://bucket/a/b/ \n file:///var/files ',
      ['gs://bucket/a/b/', 'file:///var/files'],
      ['a/b', 'var/files']
    ],
    [
      'gs://bucket/a%20b%23 file:///a%20folder',
      ['gs://bucket/a%20b%23', 'file:///a%20folder'],
      ['a b#', 'a folder']
    ]
  ])('%o is read', (value, hrefs, prefixes) => {
    const { places, faults } = parseFilePlaces('UPLOADS_URL', value)
    expect(faults).toEqual([])
    expect(places.map(({ href }) => href)).toEqual(hrefs)
    expect(places.map(prefixOf)).toEqual(prefixes)
  })

  it.each<[unknown, string]>([
    [undefined, 'nothing'],
    ['', 'nothing'],
    ['  ', "'  '"],
    [['gs://bucket'], '["gs://bucket"]']
  ])('%o is none', (value, got) => {
    expect(parseFilePlaces('UPLOADS_URL', value)).toEqual({
      places: [],
      faults: [`UPLOADS_URL must be ${filePlacesForm}, got ${got}`]
    })
  })

  it.each<[string, string]>([
    ['bucket', 'it begins with neither gs:// nor file:///'],
    ['s3://bucket', 'it begins with neither gs:// nor file:///'],
    ['GS://bucket', 'it begins with neither gs:// nor file:///'],
    ['unknown', 'it begins with neither gs:// nor file:///'],
    ['file:/folder', 'it begins with neither gs:// nor file:///'],
    ['gs://', "'' can't be the name of a bucket"],
    ['gs:///public', "'' can't be the name of a bucket"],
    ['gs://Bucket', "'Bucket' can't be the name of a bucket"],
    ['gs://ab', "'ab' can't be the name of a bucket"],
    ['gs://bucket%2Fpublic', "'bucket%2Fpublic' can't be the name of a bucket"],
    ['gs://bucket,gs://other', 'it must have no port'],
    ['gs://bucket/a?', "it must have no '?'; in a folder's name it is %3F"],
    ['gs://bucket/a?b', "it must have no '?'; in a folder's name it is %3F"],
    ['gs://bucket/a#', "it must have no '#'; in a folder's name it is %23"],
    ['gs://bucket#a', "it must have no '#'; in a folder's name it is %23"],
    ['gs://bucket:443/a', 'it must have no port'],
    ['gs://bucket/..', "its folder must have no segment '.' or '..'"],
    ['gs://bucket/a/../b', "its folder must have no segment '.' or '..'"],
    ['gs://bucket/%2e%2E/b', "its folder must have no segment '.' or '..'"],
    ['gs://bucket/./b', "its folder must have no segment '.' or '..'"],
    ['gs://bucket//a', "its folder must be relative, without a '/' at its beginning"],
    ['gs://bucket/a//b', 'its folder must have no empty segment'],
    ['gs://bucket/a%0Ab', 'its folder must have no control character'],
    ['gs://bucket/a%5Cb', 'its folder must have no backslash'],
    ['gs://bucket/100%', "a '%' must begin an escape such as %20"],
    ['file://host/folder', "it must have no host, which 'host' would be"],
    ['file:///', 'it names no folder'],
    ['file:///var/../etc', "its folder must have no segment '.' or '..'"]
  ])('%s is refused by name', (value, fault) => {
    expect(parseFilePlaces('UPLOADS_URL', `gs://sound ${value}`)).toEqual({
      places: [],
      faults: [`UPLOADS_URL must be ${filePlacesForm}, got '${value}': ${fault}`]
    })
  })

  it('with credentials is refused without showing them', () => {
    expect(parseFilePlaces('UPLOADS_URL', 'gs://user:secret@bucket').faults).toEqual([
      `UPLOADS_URL must be ${filePlacesForm}, got 'gs://…@bucket': it must have no '@'`
    ])
  })

  it('with a place that stands there twice is refused', () => {
    const { faults } = parseFilePlaces('UPLOADS_URL', 'gs://bucket/a gs://bucket/a/')
    expect(faults).toEqual([
      `UPLOADS_URL must be ${filePlacesForm}, got 'gs://bucket/a/': it is listed twice`
    ])
  })
})

describe('the name of a stored file', () => {
  it.each([
    'submissions/o1/pslug/u7/20260314/0123456789ab_model.idf',
    'a',
    '..a/b..',
    '.keep',
    'a b/ä#?%+日本🏠',
    'a'.repeat(1_024)
  ])('may be %s', (name) => {
    expect(findNameFault(name)).toBeUndefined()
  })

  it.each<[string, string, string?]>([
    ['', 'not be empty, got ""'],
    ['/', `be relative, without a '/' at its beginning, got "/"`],
    ['/etc/passwd', `be relative, without a '/' at its beginning, got "/etc/passwd"`],
    ['.', `have no segment '.' or '..', got "."`],
    ['..', `have no segment '.' or '..', got ".."`],
    ['a/../b', `have no segment '.' or '..', got "a/../b"`],
    ['a/.', `have no segment '.' or '..', got "a/."`],
    ['a//b', 'have no empty segment, got "a//b"'],
    ['a/', 'have no empty segment, got "a/"'],
    ['a\0b', String.raw`have no control character, got "a\u0000b"`],
    ['a\nb', String.raw`have no control character, got "a\nb"`],
    ['a\u0085b', 'have no control character, got "a\u0085b"'],
    ['a\\..\\b', String.raw`have no backslash, got "a\\..\\b"`],
    ['a\ud800', String.raw`be text that UTF-8 can hold, got "a\ud800"`],
    ['ä'.repeat(513), `have at most 1024 bytes, got "${'ä'.repeat(100)}"`]
  ])('must not be %o', (name, fault) => {
    expect(findNameFault(name)).toBe(`the name of a stored file must ${fault}`)
  })
})
