/**
 * Job id → the ids that it had before, newest first. With it, the engine sees a renamed job as the same one, shows one
 * replacement instead of a deletion and a creation, and still refuses it where the stage is protected.
 */
export const formerJobIds: Readonly<Record<string, readonly string[]>> = {}
