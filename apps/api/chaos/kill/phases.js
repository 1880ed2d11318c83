// Which phase a row is at when something dies under it.
const LIVE_ROWS = `
  SELECT file.path, file.transfer_status AS status, file.attempts, file.upload_id IS NOT NULL AS "hasUpload",
    file.completing, coalesce(substring(attempt.worker FROM '(\\d+)$')::int, 0) AS "ownerPid",
    EXISTS (SELECT FROM core_storage_purge AS purge WHERE purge.file_id = file.id AND purge.removing) AS "isPurged",
    EXISTS (SELECT FROM pgboss.job WHERE data->>'fileId' = file.id::text AND state = 'active') AS "hasJob"
  FROM core_storage_file AS file
  LEFT JOIN core_storage_attempt AS attempt ON attempt.file_id = file.id AND attempt.number = file.attempts
  WHERE file.path = ANY($1)`;

/** @returns path, phase and pid of the owner of the rows that are not over */
export async function livePhases(stage, paths) {
  const rows = await stage.crash.query(LIVE_ROWS, [paths]);
  return rows.flatMap((row) => {
    const phase = phaseOf(row, stage.proxy.calls);
    return phase === undefined ? [] : [{ path: row.path, phase, ownerPid: row.ownerPid }];
  });
}

function phaseOf({ path, status, hasUpload, completing, isPurged, hasJob }, calls) {
  if (isPurged) return 'purge';
  if (status === 'PENDING') return 'row';
  if (status === 'DONE') return hasJob ? 'commit' : undefined;
  if (status !== 'TRANSFERRING') return undefined;
  if (completing) return isMade(path, calls) ? 'verify' : 'completing';
  return hasUpload ? 'parts' : 'create';
}

/** The owner knows that the object is made: it has the answer. */
function isMade(path, calls) {
  return calls.some(
    ({ key, operation, status }) =>
      key === path && (operation === 'CompleteMultipartUpload' || operation === 'PutObject') && status === 200,
  );
}
