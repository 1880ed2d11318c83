import { element, type Xml } from '../xml.js';

/** There is one user; S3 writes an owner as 64 hex digits. */
const OWNER_ID = '1'.padStart(64, '0');

export function ownerXml(name: 'Owner' | 'Initiator'): Xml {
  return element(name, element('ID', OWNER_ID), element('DisplayName', 'local-s3'));
}
