import { ApiError, invalidArgument } from '../google-api/api-error.ts'

const nameShape = /^projects\/([A-Za-z0-9.:-]+)\/locations\/([a-z0-9-]+)\/jobs\/(.+)$/

/**
 * The parts of `projects/P/locations/L/jobs/J`.
 *
 * @throws ApiError 400 when the name has another form or the id is not 1 to 500 letters, digits, `_` and `-`.
 */
export const parseJobName = (name: string): { project: string; location: string; id: string } => {
  const [, project, location, id] = nameShape.exec(name) ?? []
  if (
    project === undefined ||
    location === undefined ||
    id === undefined ||
    !/^[A-Za-z0-9_-]{1,500}$/.test(id)
  ) {
    throw invalidArgument(
      'Job name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/jobs/<JOB_ID>", ' +
        `where <JOB_ID> is 1 to 500 of [A-Za-z0-9_-], got "${name}".`
    )
  }
  return { project, location, id }
}

/** Which project and locations an emulator serves. */
export interface Realm {
  /** Any project when undefined. */
  readonly project: string | undefined
  /** Any location when undefined. */
  readonly locations: readonly string[] | undefined
}

/** @throws ApiError 403 for another project, 400 for a location that is not served. */
export const checkRealm = (realm: Realm, project: string, location?: string): void => {
  if (realm.project !== undefined && project !== realm.project) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `Permission denied on resource project ${project}: this emulator serves project ${realm.project}.`
    )
  }
  if (location !== undefined && realm.locations && !realm.locations.includes(location)) {
    throw invalidArgument(
      `Location '${location}' is not a valid location. Use ListLocations to list valid locations.`
    )
  }
}

/** A google.cloud.location.Location. */
export const describeLocation = (project: string, location: string): object => ({
  name: `projects/${project}/locations/${location}`,
  locationId: location,
  labels: { 'cloud.googleapis.com/region': location }
})
