import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { issuer } from './identity.ts'
import type { Identity } from './identity.ts'

/** The machine that the metadata server pretends to be on. */
export interface Machine {
  readonly project: string
  readonly projectNumber: string
  /** The account that has the alias `default`. */
  readonly defaultServiceAccount: string
}

/** Google's discovery document and certificates, and the metadata server's project and identity paths. */
export const registerIdentityRoutes =
  (identity: Identity, machine: Machine, findUrl: () => string) =>
  async (server: FastifyInstance): Promise<void> => {
    server.get('/.well-known/openid-configuration', () => ({
      issuer,
      jwks_uri: `${findUrl()}/oauth2/v3/certs`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      claims_supported: ['aud', 'azp', 'email', 'email_verified', 'exp', 'iat', 'iss', 'sub']
    }))
    server.get('/oauth2/v3/certs', () => ({ keys: [identity.jwk] }))
    server.get('/oauth2/v1/certs', () => ({
      [identity.keyId]: identity.publicKey.export({ type: 'spki', format: 'pem' })
    }))
    await server.register(registerMetadataRoutes(identity, machine))
  }

const registerMetadataRoutes =
  (identity: Identity, machine: Machine) =>
  async (server: FastifyInstance): Promise<void> => {
    server.addHook('onRequest', async (request, reply) => {
      reply.header('Metadata-Flavor', 'Google').header('Server', 'Metadata Server for VM')
      const refusal = findRefusal(request)
      if (refusal) await reply.code(403).type('text/plain').send(refusal)
    })
    const root = '/computeMetadata/v1'
    const answer = (text: string) => (_request: FastifyRequest, reply: FastifyReply) =>
      reply.type('application/text').send(text)

    server.get(`${root}/`, answer('instance/\nproject/\n'))
    server.get(`${root}/instance`, answer('service-accounts/\n'))
    server.get(`${root}/project/project-id`, answer(machine.project))
    server.get(`${root}/project/numeric-project-id`, answer(machine.projectNumber))
    server.get(`${root}/instance/service-accounts/`, answer(`default/\n${machine.defaultServiceAccount}/\n`))
    // Google's Python library asks for this first.
    server.get(`${root}/instance/service-accounts/:account/`, (request) => {
      const email = findEmail(request, machine)
      return { aliases: email === machine.defaultServiceAccount ? ['default'] : [], email, scopes: [] }
    })
    server.get(`${root}/instance/service-accounts/:account/email`, (request, reply) =>
      reply.type('application/text').send(findEmail(request, machine))
    )
    server.get(`${root}/instance/service-accounts/:account/identity`, async (request, reply) => {
      const { audience } = request.query as Record<string, string | undefined>
      if (!audience) return reply.code(400).type('text/plain').send('non-empty audience parameter required')
      return reply.type('text/html').send(await identity.mintToken(findEmail(request, machine), audience))
    })
  }

/** Like the real server, refuses requests that a browser or a proxy could have been tricked into sending. */
const findRefusal = ({ headers }: FastifyRequest): string | undefined => {
  if (headers['metadata-flavor'] !== 'Google') return 'Missing Metadata-Flavor:Google header.'
  if (headers['x-forwarded-for'] !== undefined) return 'X-Forwarded-For must be left out.'
  return undefined
}

const findEmail = (request: FastifyRequest, machine: Machine): string => {
  const { account = 'default' } = request.params as Record<string, string>
  return account === 'default' ? machine.defaultServiceAccount : account
}
