import { readFileSync } from 'node:fs'
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion
} from 'node:tls'

/** What DATABASE_URL must be. */
const databaseUrlForm = 'postgres://user:password@host:port/database'

/** A parsed connection URL, with the meaning that libpq gives it. */
export interface DatabaseAddress {
  /** In the order in which they are tried. */
  readonly places: readonly Place[]
  readonly database: string
  readonly user: string
  readonly password: string
  readonly applicationName: string
  /** `-c name=value …`: server settings from the URL. */
  readonly options: string
  readonly tls: TlsRules
  /** Seconds to connect to each server. */
  readonly connectTimeout: number
  /** Idle seconds before the first TCP keepalive probe; 0 turns probes off. */
  readonly keepAlive: number
  /** What a server must be able to do; other servers are skipped. */
  readonly target: 'any' | 'read-write' | 'primary'
}

/** A server: a host name or an IP address, or the folder of a Unix socket. */
export interface Place {
  readonly host: string
  readonly port: number
}

export interface TlsRules {
  readonly mode: (typeof tlsModes)[number]
  /** Whether TLS begins at once, without PostgreSQL's SSLRequest. */
  readonly isDirect: boolean
  readonly sendsName: boolean
  /** Undefined: no certificates from the URL, only the public authorities that Node.js trusts. */
  readonly context: SecureContext | undefined
}

const tlsModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

// Which values each libpq parameter accepts here; docs/database-role.md describes their effects.
const switches = ['0', '1'] as const
const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
const choices = {
  sslmode: tlsModes,
  sslnegotiation: ['postgres', 'direct'],
  sslsni: switches,
  ssl_min_protocol_version: versions,
  ssl_max_protocol_version: versions,
  keepalives: switches,
  target_session_attrs: ['any', 'read-write', 'primary'],
  // Accepted only with the values that describe what happens anyway.
  channel_binding: ['disable', 'prefer'],
  client_encoding: ['UTF8', 'utf8', 'auto'],
  gssencmode: ['disable', 'prefer'],
  load_balance_hosts: ['disable']
} as const
const numbers: readonly string[] = ['connect_timeout', 'keepalives_idle']
const texts =
  'host port dbname user password application_name fallback_application_name options sslrootcert sslcert sslkey sslpassword'.split(
    ' '
  )

const defaultConnectTimeout = 10
const defaultKeepAlive = 60

/**
 * Parses a connection URL. Every parameter is honoured or refused by name; none is ignored.
 *
 * @param name the option or variable that holds the URL, for messages.
 * @throws Error that says what is wrong and shows neither the URL nor a password.
 */
export const readDatabaseUrl = (url: string | undefined, name = 'DATABASE_URL'): DatabaseAddress => {
  try {
    return parse(url)
  } catch (error) {
    throw new Error(`${name} ${(error as Error).message}`, { cause: error })
  }
}

const parse = (url: string | undefined): DatabaseAddress => {
  if (!url) throw new Error(`must be ${databaseUrlForm}, got nothing`)
  // Secrets often end with a line break.
  const parts = /^postgres(?:ql)?:\/\/(?:([^/?]*)@)?([^/?@]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(url.trim())
  if (!parts) throw new Error(`must be ${databaseUrlForm}, got something else`)
  // Ambiguous: some parsers start a fragment here, others read it as part of the password.
  if (url.includes('#')) throw new Error('must have each # written as %23, got an unencoded one')
  const [, login = '', authority = '', path = '', query = ''] = parts
  const [user, password] = splitOnce(login, ':')
  // Checked before a message can name a parameter: after an unencoded ?, the rest of a password would look like one.
  if (!user && !/[?&]user=./.test(url)) throw new Error(`must be ${databaseUrlForm}, got one without a user`)
  const named = authority.split(',').map(readPlace)
  const given = readParameters([
    ['user', user],
    ['password', password ?? ''],
    ['host', named.map(([host]) => host).join(',')],
    ['port', named.map(([, port]) => port).join(',')],
    ['dbname', path],
    ...query
      .split('&')
      .filter(Boolean)
      .map((pair): [string, string | undefined] => splitOnce(pair, '='))
  ])
  if (!given.user || !given.dbname) throw new Error(`must be ${databaseUrlForm}, got one without a database`)
  return {
    places: readPlaces(given.host ?? '', given.port ?? ''),
    database: given.dbname,
    user: given.user,
    password: given.password ?? '',
    applicationName: given.application_name ?? given.fallback_application_name ?? 'scheduled-jobs',
    options: given.options ?? '',
    tls: readTlsRules(given),
    // 0 and less mean no limit in libpq; everything here has one.
    connectTimeout: Math.max(Number(given.connect_timeout ?? 0), 0) || defaultConnectTimeout,
    keepAlive: given.keepalives === '0' ? 0 : Number(given.keepalives_idle ?? 0) || defaultKeepAlive,
    target: (given.target_session_attrs as DatabaseAddress['target'] | undefined) ?? 'any'
  }
}

type Given = Partial<Record<string, string>>

const splitOnce = (text: string, separator: string): [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** The host of a place, without the brackets of IPv6, and its port, which may be empty. */
const readPlace = (place: string): [host: string, port: string] => {
  const [, brackets, name = '', port = ''] = /^(?:\[(.*)\]|([^:[]*))(?::(.*))?$/s.exec(place) ?? []
  return [brackets ?? name, port]
}

/** As in libpq, the last of several parameters with one name wins. */
const readParameters = (pairs: readonly (readonly [string, string | undefined])[]): Given => {
  const given: Given = {}
  for (const [rawName, rawValue] of pairs) {
    const name = decode('a name', rawName)
    const value = decode(`'${name}'`, rawValue ?? '')
    // libpq accepts JDBC's `ssl=true` as well.
    if (name === 'ssl' && value === 'true') given.sslmode = 'require'
    else {
      const checked = check(name, value)
      if (checked !== '') given[name] = checked
    }
  }
  return given
}

const decode = (what: string, text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error(`must have ${what} percent-encoded, got a % that begins no escape: write it as %25`)
  }
}

const check = (name: string, value: string): string => {
  if (Object.hasOwn(choices, name)) {
    const known: readonly string[] = choices[name as keyof typeof choices]
    if (known.includes(value)) return value
    throw new Error(`has a parameter ${name} that must be one of ${known.join(', ')}, got '${value}'`)
  }
  if (numbers.includes(name)) {
    if (/^\d{1,6}$/.test(value)) return value
    throw new Error(`has a parameter ${name} that must be a number of seconds, got '${value}'`)
  }
  if (texts.includes(name)) return value
  throw new Error(
    `has a parameter ${name} that is not supported: leave it out (docs/database-role.md lists those that can)`
  )
}

const readPlaces = (hosts: string, ports: string): Place[] => {
  const names = hosts.split(',')
  const own = ports.split(',')
  if (own.length !== 1 && own.length !== names.length)
    throw new Error(`must have one port, or one for each of its ${names.length} hosts, got ${own.length}`)
  return names.map((name, index) => {
    const port = (own.length === 1 ? own[0] : own[index]) || '5432'
    // The value is not shown: it may be the rest of a password with a / in it.
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
      throw new Error('must have a port from 1 to 65535, got something else')
    return { host: name || 'localhost', port: Number(port) }
  })
}

const readTlsRules = (given: Given): TlsRules => {
  const { sslrootcert, sslcert, sslkey, sslpassword } = given
  const isSystem = sslrootcert === 'system'
  const asked = (given.sslmode ?? (isSystem ? 'verify-full' : 'prefer')) as TlsRules['mode']
  if (isSystem && asked !== 'verify-full')
    throw new Error(`has sslrootcert=system, which needs sslmode=verify-full, got sslmode=${asked}`)
  if (asked === 'verify-ca' && !sslrootcert)
    throw new Error(
      'has sslmode=verify-ca, which needs sslrootcert: without it any certificate of a public authority would pass'
    )
  if (!sslcert !== !sslkey) throw new Error('has one of sslcert and sslkey: they need each other')
  const isDirect = given.sslnegotiation === 'direct'
  if (isDirect && ['disable', 'allow', 'prefer'].includes(asked))
    throw new Error(
      `has sslnegotiation=direct, which needs sslmode=require or stricter, got sslmode=${asked}`
    )
  const files = {
    ...(sslrootcert && !isSystem ? { ca: readCertificate('sslrootcert', sslrootcert) } : {}),
    ...(sslcert && sslkey
      ? { cert: readCertificate('sslcert', sslcert), key: readCertificate('sslkey', sslkey) }
      : {}),
    ...(sslpassword ? { passphrase: sslpassword } : {}),
    ...(given.ssl_min_protocol_version
      ? { minVersion: given.ssl_min_protocol_version as SecureVersion }
      : {}),
    ...(given.ssl_max_protocol_version ? { maxVersion: given.ssl_max_protocol_version as SecureVersion } : {})
  }
  return {
    // As in libpq, a named authority makes `require` verify the certificate.
    mode: asked === 'require' && sslrootcert ? 'verify-ca' : asked,
    isDirect,
    sendsName: given.sslsni !== '0',
    context: Object.keys(files).length > 0 ? createContext(files) : undefined
  }
}

const readCertificate = (name: string, path: string): string => {
  const must = `has a parameter ${name} that must be a PEM file`
  let text
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${must}, got '${path}' (${(error as NodeJS.ErrnoException).code})`, { cause: error })
  }
  if (text.includes('-----BEGIN ')) return text
  throw new Error(`${must}, got '${path}', which is none`)
}

const createContext = (files: SecureContextOptions): SecureContext => {
  try {
    return createSecureContext(files)
  } catch (error) {
    throw new Error(`has certificates that don't go together: ${(error as Error).message}`, { cause: error })
  }
}
