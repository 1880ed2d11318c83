/** What is taken, and how much of it may be under way at once. */
export interface Shares {
  /** Tickets at most. */
  readonly limit: number;
  /** Of one workspace, held at once by all workers. */
  readonly perWorkspace: number;
  /** Workspaces of which this process can take another number than `perWorkspace`. */
  readonly workspacePlaces: ReadonlyMap<string, number>;
  /** Of one source host, held at once by this process. */
  readonly perHost: number;
  /** Hosts of which this process can take another number than `perHost`. */
  readonly hostPlaces: ReadonlyMap<string, number>;
  /** Of one source host, held at once by all workers; 0: any number. */
  readonly perHostOverall: number;
}

/** Hosts of one workspace that one take looks at: a workspace with more waits longer for some of them, and nobody else does. */
const LANES_PER_WORKSPACE = 64;
/** Lanes that one take looks at. The walk begins at a random workspace, so that with more of them all have their turn. */
const LANES = 512;
/** Tickets that somebody else has locked are passed over for these. */
const SPARE_TICKETS = 16;
/** Above every host name, and above every workspace's id, in the order of their bytes. */
const AFTER_ALL = "'~'";

/** Columns of a lane: tickets of one workspace that read from one host. Tickets without host come from no source. */
const WORKSPACE = '(group_id COLLATE "C")';
const HOST = `(coalesce(data ->> 'host', '') COLLATE "C")`;

const waitingOf = (queue: string) => `name = '${queue}' AND state < 'active' AND NOT blocked`;

/**
 * Lets a take find the lanes and each one's oldest ticket without a look at all the others.
 *
 * pg-boss makes its tables by itself, so that no migration can. One process at a time, and none that finds it there:
 * even IF NOT EXISTS waits for every transaction that has sent a ticket, and all others then wait behind it.
 */
export function makeLaneIndex(queue: string): string {
  return `
    SELECT pg_advisory_xact_lock(hashtextextended('${queue}', 0));
    DO $$ BEGIN
      IF to_regclass('pgboss.storage_transfer_lanes') IS NULL THEN
        CREATE INDEX storage_transfer_lanes ON pgboss.job_common (${WORKSPACE}, ${HOST}, created_on, start_after)
        WHERE ${waitingOf(queue)};
      END IF;
    END $$;`;
}

/**
 * Two statements: the second gives the tickets that were taken. Whoever holds fewest is served first, each workspace
 * within the process and each host within its workspace, and the oldest ticket among equals.
 *
 * pg-boss's own fetch takes the oldest tickets, and looks at each one of a workspace that has its number: behind 10,000
 * tickets of one workspace the next one's waited for all of them, and every look cost 40 ms. Here a look costs what
 * there are workspaces and hosts, whatever waits behind them. One worker takes at a time (the first statement's lock
 * ends with the second), so that no two of them count the same free place.
 *
 * The UPDATE is that of pg-boss's fetch (plans.js, fetchNextJob); a test holds one against the other.
 */
export function takeFairly(queue: string, startWorkspace: string, shares: Shares): string {
  const { limit, perWorkspace, workspacePlaces, perHost, hostPlaces, perHostOverall } = shares;
  const job = 'pgboss.job_common';
  const waiting = waitingOf(queue);
  const start = literal(startWorkspace);
  const candidates = limit + SPARE_TICKETS;
  const placesOf = (places: ReadonlyMap<string, number>) =>
    `${literal(JSON.stringify(Object.fromEntries(places)))}::jsonb`;
  return `
    SELECT pg_advisory_xact_lock(hashtextextended('${queue}', 0));
    WITH RECURSIVE lane (workspace, host, of_workspace, is_second_round) AS (
      SELECT ${start} COLLATE "C", '' COLLATE "C", ${LANES_PER_WORKSPACE}, false
      UNION ALL
      SELECT next.* FROM lane, LATERAL (
        (SELECT ${WORKSPACE}, ${HOST},
           CASE WHEN ${WORKSPACE} = lane.workspace THEN lane.of_workspace + 1 ELSE 1 END, lane.is_second_round
         FROM ${job}
         WHERE ${waiting} AND ${WORKSPACE} <= CASE WHEN lane.is_second_round THEN ${start} ELSE ${AFTER_ALL} END
           AND (${WORKSPACE}, ${HOST}) >
             (lane.workspace, CASE WHEN lane.of_workspace < ${LANES_PER_WORKSPACE} THEN lane.host ELSE ${AFTER_ALL} END)
         ORDER BY ${WORKSPACE}, ${HOST} LIMIT 1)
        UNION ALL
        (SELECT ${WORKSPACE}, ${HOST}, 1, true FROM ${job}
         WHERE ${waiting} AND NOT lane.is_second_round AND ${WORKSPACE} <= ${start}
         ORDER BY ${WORKSPACE}, ${HOST} LIMIT 1)
        LIMIT 1
      ) AS next
    ), held AS MATERIALIZED (
      SELECT ${WORKSPACE} AS workspace, ${HOST} AS host FROM ${job} WHERE name = '${queue}' AND state = 'active' AND group_id IS NOT NULL
    ), of_workspaces AS (SELECT workspace, count(*)::int AS held FROM held GROUP BY workspace
    ), of_hosts AS (${heldOverall(perHostOverall)}
    ), open_lane AS (
      SELECT lane.workspace, lane.host, coalesce(of_workspaces.held, 0) AS held,
        least(${perWorkspace} - coalesce(of_workspaces.held, 0),
          (${placesOf(workspacePlaces)} ->> lane.workspace)::int) AS workspace_places,
        CASE WHEN lane.host = '' THEN ${candidates} ELSE least(coalesce((${placesOf(hostPlaces)} ->> lane.host)::int, ${perHost}),
          ${perHostOverall === 0 ? candidates : `${perHostOverall} - coalesce(of_hosts.held, 0)`}) END AS host_places
      FROM (SELECT workspace, host FROM lane OFFSET 1 LIMIT ${LANES}) AS lane
      LEFT JOIN of_workspaces ON of_workspaces.workspace = lane.workspace
      LEFT JOIN of_hosts ON of_hosts.host = lane.host
    ), oldest AS (
      SELECT open_lane.*, ticket.id, ticket.created_on,
        row_number() OVER (PARTITION BY open_lane.workspace, open_lane.host ORDER BY ticket.created_on, ticket.id) AS of_lane
      FROM open_lane, LATERAL (
        SELECT id, created_on FROM ${job}
        WHERE ${waiting} AND ${WORKSPACE} = open_lane.workspace AND ${HOST} = open_lane.host AND start_after <= pgboss.job_now()
        ORDER BY created_on
        LIMIT greatest(least(${candidates}, open_lane.workspace_places, open_lane.host_places), 0)
      ) AS ticket
    ), within_host AS (
      SELECT *, row_number() OVER (PARTITION BY host ORDER BY held + of_lane, created_on, id) AS of_host FROM oldest
    ), within_workspace AS (
      SELECT *, row_number() OVER (PARTITION BY workspace ORDER BY of_lane, created_on, id) AS of_workspace
      FROM within_host WHERE host = '' OR of_host <= host_places
    ), chosen AS (
      SELECT id, held + of_workspace AS turn, created_on FROM within_workspace WHERE of_workspace <= workspace_places
      ORDER BY turn, created_on, id LIMIT ${candidates}
    ), locked AS (
      SELECT job.id FROM chosen JOIN ${job} AS job ON job.name = '${queue}' AND job.id = chosen.id AND job.state < 'active'
      ORDER BY chosen.turn, chosen.created_on, chosen.id LIMIT ${limit} FOR UPDATE OF job SKIP LOCKED
    )
    UPDATE ${job} SET state = 'active', started_on = pgboss.job_now(), heartbeat_on = pgboss.job_now(),
      retry_count = CASE WHEN started_on IS NOT NULL THEN retry_count + 1 ELSE retry_count END
    WHERE name = '${queue}' AND id = ANY (ARRAY(SELECT id FROM locked))
    RETURNING id, data`;
}

/** By tickets, and by the places of transfers that began without one; a transfer with both counts once. */
function heldOverall(perHostOverall: number): string {
  const ofTickets = 'SELECT host, count(*)::int AS held FROM held GROUP BY host';
  if (perHostOverall === 0) return ofTickets;
  return `
    SELECT host, max(held) AS held FROM (${ofTickets}
      UNION ALL
      SELECT place.host, count(*)::int FROM core_storage_host_place AS place
      LEFT JOIN core_storage_file AS file ON file.id = place.file_id
      WHERE place.reserved_until > now() OR file.lease_until > now()
      GROUP BY place.host) AS counted
    GROUP BY host`;
}

/** Two statements at once can have no parameters. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
