export { BEHAVIOUR_NAMES, BEHAVIOURS, type BehaviourName } from './all-behaviours.js';
export type { Behaviour } from './behaviour.js';
export { gzippedContent } from './behaviours/codings.js';
export { PRIVATE_LOCATIONS } from './behaviours/redirects.js';
export { LOGIN_PAGE } from './behaviours/statuses.js';
export { contentChunks, contentRange, contentSha256, type FileContent } from './content.js';
export type { ListenerName, Origins } from './listeners.js';
export { PARAMETERS, type ParameterName, type ParameterValues } from './parameters.js';
export type { RequestRecord } from './request-record.js';
export {
  fileOf,
  type HostileSource,
  type HostileSourceOptions,
  startHostileSource,
  type UrlOptions,
} from './server.js';
