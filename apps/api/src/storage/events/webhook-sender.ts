import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { SecretBox, SecretBoxError } from '../../config/secret-box.js';
import { GuardedPost, type PostOutcome } from '../source/guarded-post.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { PollLoop } from './poll-loop.js';
import { type FailedDelivery, type HeldDelivery, WebhookDeliveryRepository } from './webhook-delivery.repository.js';
import { signWebhook } from './webhook-signature.js';
import { secretContext, urlContext } from './webhook-subscriptions.js';

const USER_AGENT = 's3-transfer/0.1';
/** Deliveries that this process sends at once, and of those, how many of one workspace and to one subscription. */
const CONCURRENCY = 32;
const CONCURRENCY_PER_WORKSPACE = 8;
const CONCURRENCY_PER_SUBSCRIPTION = 4;
/** By which a lease outlasts the time that a send may take. What is noted later than that is sent twice. */
const LEASE_RESERVE_MS = 5_000;
const CANNOT_BE_OPENED =
  'the webhook cannot be opened: add the key before to DATA_ENCRYPTION_OLD_KEYS, or delete the webhook and make it again';

/** Sends webhook deliveries until they arrive or a day of tries has passed. Any number of processes may run one. */
@Injectable()
export class WebhookSender implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(WebhookSender.name);
  private readonly stop = new AbortController();
  private readonly loop: PollLoop;
  private readonly sends = new Map<HeldDelivery, Promise<void>>();

  constructor(
    private readonly deliveries: WebhookDeliveryRepository,
    private readonly post: GuardedPost,
    private readonly secrets: SecretBox,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {
    this.loop = new PollLoop({
      intervalMs: options.events.pollMs,
      run: () => this.startDue(),
      onError: (error) => this.logger.warn({ err: error }, 'looking for deliveries failed; it is done again'),
    });
  }

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  /** Ends the sends under way; they are due at once, for another process. */
  async onModuleDestroy(): Promise<void> {
    this.stop.abort(new Error('the process is stopping'));
    await this.loop.stop();
    await Promise.all(this.sends.values());
  }

  private async startDue(): Promise<void> {
    const limit = CONCURRENCY - this.sends.size;
    if (limit <= 0) return;
    const deliveries = await this.deliveries.take({
      leaseMs: this.options.events.webhookTimeoutMs + LEASE_RESERVE_MS,
      limit,
      perSubscription: { limit: CONCURRENCY_PER_SUBSCRIPTION, underWay: this.countBy('subscriptionId') },
      perWorkspace: { limit: CONCURRENCY_PER_WORKSPACE, underWay: this.countBy('workspaceId') },
    });
    for (const delivery of deliveries) {
      const send = this.send(delivery).finally(() => {
        this.sends.delete(delivery);
        this.loop.poke(); // Its place is free.
      });
      this.sends.set(delivery, send);
    }
  }

  private countBy(owner: 'subscriptionId' | 'workspaceId'): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { [owner]: id } of this.sends.keys()) counts.set(id, (counts.get(id) ?? 0) + 1);
    return counts;
  }

  private async send(delivery: HeldDelivery): Promise<void> {
    try {
      const outcome = await this.attempt(delivery);
      if ('status' in outcome && isSuccess(outcome.status)) {
        return await this.deliveries.markDelivered(delivery, outcome.status);
      }
      await this.postpone(delivery, toFailure(outcome));
    } catch (error) {
      if (this.stop.signal.aborted) return await this.release(delivery);
      this.logger.warn(
        { err: error, deliveryId: delivery.id },
        'what came of a delivery is not written down: it is sent again',
      );
    }
  }

  private async attempt(delivery: HeldDelivery): Promise<PostOutcome> {
    this.stop.signal.throwIfAborted();
    const { eventId: id, eventType: type, occurredAt, payload: data } = delivery;
    const body = JSON.stringify({ id, type, createdAt: occurredAt.toISOString(), data });
    const timestamp = Math.floor(Date.now() / 1_000);
    const opened = this.openSecrets(delivery);
    if (opened === undefined) return { reason: CANNOT_BE_OPENED };
    const headers = {
      'content-type': 'application/json',
      'user-agent': USER_AGENT,
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signWebhook({ id, timestamp, body }, opened.secrets),
    };
    const timeoutMs = this.options.events.webhookTimeoutMs;
    return await this.post.send({ url: opened.url, headers, body, timeoutMs }, this.stop.signal);
  }

  /** Undefined when their key is not configured any more. A previous secret whose key is gone does not sign. */
  private openSecrets(delivery: HeldDelivery): { url: string; secrets: string[] } | undefined {
    const { subscriptionId: id, secretSealed, previousSecretSealed, urlSealed } = delivery;
    const url = this.tryToOpen(urlSealed, urlContext(id));
    const secret = this.tryToOpen(secretSealed, secretContext(id));
    if (url === undefined || secret === undefined) return undefined;
    const previous = previousSecretSealed && this.tryToOpen(previousSecretSealed, secretContext(id));
    return { url, secrets: previous ? [secret, previous] : [secret] };
  }

  private tryToOpen(sealed: Uint8Array, context: string): string | undefined {
    try {
      return this.secrets.open(sealed, context);
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      this.logger.error({ err: error }, `the ${context} cannot be opened`);
      return undefined;
    }
  }

  private async postpone(delivery: HeldDelivery, failure: FailedDelivery): Promise<void> {
    const status = await this.deliveries.postpone(delivery, failure);
    const { id: deliveryId, subscriptionId, attempts } = delivery;
    if (status !== 'FAILED') return;
    this.logger.warn({ deliveryId, subscriptionId, attempts, reason: failure.lastError }, 'a webhook is given up');
  }

  private async release(delivery: HeldDelivery): Promise<void> {
    await this.deliveries.release(delivery).catch((error: unknown) => {
      this.logger.warn({ err: error }, 'a delivery was not let go of: it is due when its lease ends');
    });
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function toFailure(outcome: PostOutcome): FailedDelivery {
  if ('reason' in outcome) return { responseStatus: null, lastError: outcome.reason, retryAfterMs: 0 };
  const { status: responseStatus, retryAfterMs } = outcome;
  const isRedirect = responseStatus >= 300 && responseStatus < 400;
  const lastError = `the receiver answered ${responseStatus}${isRedirect ? '; redirects are not followed' : ''}`;
  return { responseStatus, lastError, retryAfterMs };
}
