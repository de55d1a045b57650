/** All stages. Each is a Pulumi stack; they may share one Google Cloud project. */
export const stages = ['dev', 'staging', 'prod'] as const

export type Stage = (typeof stages)[number]
