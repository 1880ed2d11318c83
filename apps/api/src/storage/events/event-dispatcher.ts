import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { EventEmitter2, EventEmitterReadinessWatcher } from '@nestjs/event-emitter';
import { describeTransferError, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { findCrowds } from './event-crowds.js';
import { EventOutboxRepository, type HeldEvent } from './event-outbox.repository.js';
import { PollLoop } from './poll-loop.js';

/** Events that one statement takes. */
const BATCH_SIZE = 50;
/** Between two batches whose listeners take longer: they ask the database, which is not to be asked by all at once. */
const BATCH_PACE_MS = 100;
/**
 * Events of one type whose listeners may run at once, and of those, of one workspace, which must not keep that type from
 * the others. Waiting costs little: this only keeps memory bounded.
 */
const HELD_LIMITS = { perType: 10_000, perWorkspace: 2_500 };
/** Renewals that fit into one lease: two may fail before it runs out. */
const RENEWALS_PER_LEASE = 3;

/** What listeners get as their second argument. */
export interface EventDelivery {
  /** The same however often the event is told. */
  readonly eventId: string;
  /**
   * Asks for the event again, as a rejection does. For listeners that must not reject, because the same event also
   * comes from callers of `emit`, which wait for nobody: there a rejection would end the process.
   */
  retryLater(reason: unknown): void;
}

/**
 * Tells the listeners of this process, by EventEmitter2, of the events in the outbox: each at least once, in no certain
 * order. An event is done when all its listeners have settled, hours later if need be: its lease is renewed until then,
 * and when the process dies, another tells of it again.
 *
 * A rejection is seen only where the listener says `@OnEvent(type, { suppressErrors: false })`: by default Nest logs it
 * and lets the event count as heard. When one of several listeners rejects, all are told again.
 */
@Injectable()
export class EventDispatcher implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(EventDispatcher.name);
  private readonly loop: PollLoop;
  private readonly held = new Map<string, HeldEvent>();
  private readonly stop = new AbortController();
  private renewal: NodeJS.Timeout | undefined;
  private isRenewing = false;
  private toldIds: string[] = [];
  private marking: Promise<void> | undefined;

  constructor(
    private readonly outbox: EventOutboxRepository,
    private readonly emitter: EventEmitter2,
    private readonly listeners: EventEmitterReadinessWatcher,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {
    this.loop = new PollLoop({
      intervalMs: options.events.pollMs,
      run: () => this.runDue(),
      onError: (error) => this.logger.warn({ err: error }, 'looking for events failed; it is done again'),
    });
  }

  /** Listeners are registered in this phase of the start, in an order that is Nest's: before all are, none is told. */
  onApplicationBootstrap(): void {
    this.renewal = setInterval(() => void this.renewLeases(), this.options.leaseMs / RENEWALS_PER_LEASE);
    this.renewal.unref();
    this.listeners.waitUntilReady().then(
      () => this.loop.start(),
      (error: unknown) => this.logger.error({ err: error }, 'listeners are not registered: no events are dispatched'),
    );
  }

  /** Lets go of the events whose listeners still run: another process tells of them at once. */
  async onModuleDestroy(): Promise<void> {
    this.stop.abort();
    clearInterval(this.renewal);
    await this.loop.stop();
    await this.marking?.catch(() => {}); // Logged where it was asked for.
    await this.release([...this.held.values()]);
  }

  /** Looks for events at once: for those who have just committed one. */
  poke(): void {
    this.loop.poke();
  }

  /** Tells of all events that are due. Listeners that take longer are not waited for. */
  async runDue(): Promise<void> {
    while (!this.stop.signal.aborted) {
      const events = await this.outbox.take({
        leaseMs: this.options.leaseMs,
        limit: BATCH_SIZE,
        ...findCrowds(this.held.values(), HELD_LIMITS),
      });
      if (this.stop.signal.aborted) await this.release(events);
      if (events.length === 0 || this.stop.signal.aborted) return;
      await this.waitAtMost(BATCH_PACE_MS, Promise.all(events.map((event) => this.tell(event))));
    }
  }

  private async tell(event: HeldEvent): Promise<void> {
    this.held.set(event.id, event);
    const failures = await this.emit(event);
    if (this.stop.signal.aborted) return; // It was let go of, and is another's to end.
    try {
      if (failures.length === 0) await this.markDispatched(event.id);
      else await this.postpone(event, failures[0]);
    } catch (error) {
      this.logger.warn(
        { err: error, eventId: event.id },
        'what came of an event is not written down: it is told again',
      );
    } finally {
      this.held.delete(event.id);
    }
  }

  private async emit({ id, type, payload }: HeldEvent): Promise<unknown[]> {
    const failures: unknown[] = [];
    const delivery: EventDelivery = { eventId: id, retryLater: (reason) => failures.push(reason) };
    try {
      await this.emitter.emitAsync(type, payload, delivery);
    } catch (error) {
      failures.push(error);
    }
    return failures;
  }

  /** One statement for all events that end in the same turn. */
  private markDispatched(id: string): Promise<void> {
    this.toldIds.push(id);
    this.marking ??= nextTurn().then(() => {
      const ids = this.toldIds;
      this.toldIds = [];
      this.marking = undefined;
      return this.outbox.markDispatched(ids);
    });
    return this.marking;
  }

  private async postpone(event: HeldEvent, error: unknown): Promise<void> {
    const { id: eventId, type, attempts } = event;
    const outcome = await this.outbox.postpone(event, describeFailure(error));
    const fields = { err: error, eventId, type, attempts };
    if (outcome === 'given-up') this.logger.error(fields, 'listeners of an event failed for a day: it is given up');
    else this.logger.warn(fields, 'a listener of an event failed; it is told again');
  }

  private async renewLeases(): Promise<void> {
    if (this.held.size === 0 || this.isRenewing) return;
    this.isRenewing = true;
    const events = [...this.held.values()];
    try {
      const kept = await this.outbox.renew(events, this.options.leaseMs);
      for (const { id } of events) if (!kept.has(id)) this.held.delete(id);
    } catch (error) {
      this.logger.warn({ err: error }, 'renewing leases of events failed; it is done again');
    } finally {
      this.isRenewing = false;
    }
  }

  private async release(events: readonly HeldEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.outbox.release(events).catch((error: unknown) => {
      this.logger.warn({ err: error }, 'events were not let go of: they are due when their leases end');
    });
  }

  private async waitAtMost(limitMs: number, work: Promise<unknown>): Promise<void> {
    const limit = new AbortController();
    const signal = AbortSignal.any([limit.signal, this.stop.signal]);
    await Promise.race([work, sleep(limitMs, undefined, { signal }).catch(() => {})]); // It ended before.
    limit.abort();
  }
}

/** Only our own errors say nothing that a row may not hold. */
function describeFailure(error: unknown): string {
  if (error instanceof StorageError) return describeTransferError(error);
  return `${error instanceof Error ? error.name : typeof error}: unexpected error, see the log`;
}
