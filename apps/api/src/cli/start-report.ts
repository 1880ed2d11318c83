import { faint, good, print, strong } from './terminal.js';

const LABEL_WIDTH = 11;

/** What `.data/ready.json` says, for people and programs that want to look at the running product. */
export interface ReadyReport {
  readonly apiUrl: string;
  /** null while there is no web page. */
  readonly webUrl: string | null;
  readonly docsUrl: string;
  readonly workspaceId: string;
  /** A bearer token for the workspace; null when tokens come from an identity provider: no sample was sent then. */
  readonly token: string | null;
  readonly recordingId: string | null;
  /** Presigned; plays the sample until `videoUrlExpiresAt`. */
  readonly videoUrl: string | null;
  readonly videoUrlExpiresAt: string | null;
  readonly file: unknown;
}

/** One step of the start that is done. */
export function reportStep(label: string, text: string, more: string): void {
  print(`  ${good('✓')} ${label.padEnd(LABEL_WIDTH)} ${text}`, faint(more));
}

/** URLs stand alone and whole on a line: a terminal makes them links, and a double click takes all of one. */
export function reportWhereToLook({ apiUrl, workspaceId, token, videoUrl, videoUrlExpiresAt }: ReadyReport): void {
  if (videoUrl !== null) {
    heading('Watch the video', `presigned, until ${videoUrlExpiresAt}`);
    print(videoUrl);
  }
  if (token !== null) {
    heading('Ask the API', 'pnpm storage token mints another token');
    print(`curl -H 'Authorization: Bearer ${token}' ${apiUrl}/workspaces/${workspaceId}/files`);
  }
  heading('Transfer a file of your own', 'in another terminal');
  print('npx -y pnpm@12 transfer https://...\n');
}

function heading(title: string, more: string): void {
  print(`\n  ${strong(title)}`, `${faint(more)}\n`);
}
