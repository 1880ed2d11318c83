import type { HeldEvent, TakeEvents } from './event-outbox.repository.js';

export interface CrowdLimits {
  perType: number;
  /** Of one type. */
  perWorkspace: number;
}

/** Of what no more events are to be taken, because the listeners of so many still run. */
export function findCrowds(
  held: Iterable<HeldEvent>,
  { perType, perWorkspace }: CrowdLimits,
): Pick<TakeEvents, 'exceptTypes' | 'exceptShares'> {
  const types = new Map<string, { count: number; workspaces: Map<string, number> }>();
  for (const { type, workspaceId } of held) {
    const ofType = types.get(type) ?? { count: 0, workspaces: new Map<string, number>() };
    ofType.count += 1;
    ofType.workspaces.set(workspaceId, (ofType.workspaces.get(workspaceId) ?? 0) + 1);
    types.set(type, ofType);
  }
  return {
    exceptTypes: [...types].filter(([, { count }]) => count >= perType).map(([type]) => type),
    exceptShares: [...types].flatMap(([type, { workspaces }]) =>
      [...workspaces].filter(([, count]) => count >= perWorkspace).map(([workspaceId]) => ({ workspaceId, type })),
    ),
  };
}
