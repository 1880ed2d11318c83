import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from './api-client.js';
import { CliError } from './cli-error.js';
import type { DataFolder } from './data-folder.js';

const KEPT_FILE = 'sample.json';
const POLL_MS = 100;
/** 25 MB from and to this machine take well under a second; a bucket far away may need a minute. */
const DONE_LIMIT_MS = 120_000;
/** Seconds that the printed video URL works: a working day. */
const VIDEO_URL_EXPIRY_SECONDS = 43_200;

export interface SampleFile {
  readonly id: string;
  readonly path: string;
  readonly bucket: string;
  readonly mimeType: string | null;
  /** Bytes, as digits. */
  readonly size: string;
  readonly sha256: string | null;
  readonly deletedAt: string | null;
}

export interface SampleRecording {
  readonly recordingId: string;
  readonly file: SampleFile;
  readonly videoUrl: string;
  readonly videoUrlExpiresAt: string;
  /** From the request to DONE; null when an earlier run brought it. */
  readonly tookSeconds: number | null;
}

interface BringSample {
  api: ApiClient;
  dataFolder: DataFolder;
  workspaceId: string;
  sourceUrl: string;
  interruption: AbortSignal;
}

interface Recording {
  readonly id: string;
  readonly videoFileId: string | null;
  readonly video: { readonly transferStatus: string; readonly transferError: string | null } | null;
}

/**
 * Sends the sample through the product as a client would (POST a recording, wait for its file) and proves that its
 * presigned URL serves a range. A recording of an earlier run is taken again while its object is still there.
 *
 * @throws CliError SAMPLE_FAILED
 */
export async function bringSampleRecording(sample: BringSample): Promise<SampleRecording> {
  return (await findEarlierRecording(sample)) ?? (await makeRecording(sample));
}

async function findEarlierRecording({
  api,
  dataFolder,
  workspaceId,
}: BringSample): Promise<SampleRecording | undefined> {
  const kept = await dataFolder.readJson<{ workspaceId: string; recordingId: string }>(KEPT_FILE);
  if (kept?.workspaceId !== workspaceId) return undefined;
  const recording = await api.find<Recording>(`/workspaces/${workspaceId}/recordings/${kept.recordingId}`);
  if (!recording?.videoFileId) return undefined;
  const file = await api.find<SampleFile>(`/workspaces/${workspaceId}/files/${recording.videoFileId}`);
  if (file === undefined || file.deletedAt !== null) return undefined;
  const presigned = await presign(api, workspaceId, file.id);
  const isThere = await servesRange(presigned.videoUrl);
  return isThere ? { recordingId: recording.id, file, ...presigned, tookSeconds: null } : undefined;
}

async function makeRecording(sample: BringSample): Promise<SampleRecording> {
  const { api, dataFolder, workspaceId, sourceUrl, interruption } = sample;
  const recordings = `/workspaces/${workspaceId}/recordings`;
  const startedAt = performance.now();
  const { id } = await api.post<Recording>(recordings, { externalVideoUrl: sourceUrl, title: 'Sample recording' });
  const fileId = await waitForFile(() => api.get<Recording>(`${recordings}/${id}`), interruption);
  const tookSeconds = (performance.now() - startedAt) / 1_000;
  const file = await api.get<SampleFile>(`/workspaces/${workspaceId}/files/${fileId}`);
  const presigned = await presign(api, workspaceId, fileId);
  if (!(await servesRange(presigned.videoUrl))) {
    throw new CliError('SAMPLE_FAILED', `the presigned URL of ${file.bucket}/${file.path} does not serve a range`);
  }
  await dataFolder.writeJson(KEPT_FILE, { workspaceId, recordingId: id });
  return { recordingId: id, file, ...presigned, tookSeconds };
}

/** Resolves to the file's id once the listener has linked it to its recording, which is the last thing it does. */
async function waitForFile(read: () => Promise<Recording>, interruption: AbortSignal): Promise<string> {
  const deadline = performance.now() + DONE_LIMIT_MS;
  while (performance.now() < deadline) {
    const { videoFileId, video } = await read();
    if (videoFileId !== null) return videoFileId;
    if (video?.transferStatus === 'FAILED') {
      throw new CliError('SAMPLE_FAILED', `the sample was not transferred: ${video.transferError}`);
    }
    await delay(POLL_MS, undefined, { signal: interruption });
  }
  throw new CliError('SAMPLE_FAILED', `the sample was not transferred within ${DONE_LIMIT_MS / 1_000} s`);
}

async function presign(api: ApiClient, workspaceId: string, fileId: string) {
  const { url, expiresAt } = await api.get<{ url: string; expiresAt: string }>(
    `/workspaces/${workspaceId}/files/${fileId}/url?expiresIn=${VIDEO_URL_EXPIRY_SECONDS}`,
  );
  return { videoUrl: url, videoUrlExpiresAt: expiresAt };
}

async function servesRange(url: string): Promise<boolean> {
  const response = await fetch(url, { headers: { range: 'bytes=0-1023' } });
  const bytes = (await response.arrayBuffer()).byteLength;
  return response.status === 206 && bytes === 1_024;
}
