import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { SecretBox, SecretBoxError } from '../../config/secret-box.js';
import { GuardedPost } from '../source/guarded-post.js';
import { redactSourceUrl } from '../source/source-url.js';
import { StorageError } from '../storage.errors.js';
import { type DeliveryPage, type WebhookDelivery, WebhookDeliveryRepository } from './webhook-delivery.repository.js';
import { createWebhookSecret } from './webhook-signature.js';
import {
  type WebhookKey,
  type WebhookSubscription,
  WebhookSubscriptionRepository,
} from './webhook-subscription.repository.js';

export type { DeliveryPage, WebhookDelivery, WebhookKey, WebhookSubscription };

/** What a workspace can be told of. */
export const EVENT_TYPES = [
  'storage.file.done',
  'storage.file.failed',
  'storage.file.deleted',
  'recording.ready',
] as const;

export interface NewWebhook {
  workspaceId: string;
  url: string;
  eventTypes: readonly (typeof EVENT_TYPES)[number][];
}

/** Who is told of a workspace's events, and what became of it. Sending is WebhookSender's. */
@Injectable()
export class WebhookSubscriptions {
  constructor(
    private readonly subscriptions: WebhookSubscriptionRepository,
    private readonly deliveries: WebhookDeliveryRepository,
    private readonly post: GuardedPost,
    private readonly secrets: SecretBox,
  ) {}

  /**
   * The secret is handed out here and at a rotation, and never again.
   *
   * @throws StorageError SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED, WORKSPACE_NOT_FOUND, WEBHOOK_LIMIT
   */
  async create({
    workspaceId,
    url,
    eventTypes,
  }: NewWebhook): Promise<{ webhook: WebhookSubscription; secret: string }> {
    const id = randomUUID();
    const secret = createWebhookSecret();
    const parsed = this.post.parseUrl(url);
    const webhook = await this.subscriptions.create({
      workspaceId,
      id,
      url: redactSourceUrl(parsed),
      urlSealed: this.secrets.seal(parsed.href, urlContext(id)),
      eventTypes: [...new Set(eventTypes)],
      secretSealed: this.secrets.seal(secret, secretContext(id)),
    });
    return { webhook, secret };
  }

  async list(workspaceId: string): Promise<WebhookSubscription[]> {
    return await this.subscriptions.list(workspaceId);
  }

  /** @throws StorageError WEBHOOK_NOT_FOUND */
  async find(key: WebhookKey): Promise<WebhookSubscription> {
    const webhook = await this.subscriptions.find(key);
    if (webhook === null) throw webhookNotFound(key);
    return webhook;
  }

  /**
   * One that is switched off is told of nothing that happens meanwhile, also not later; deliveries that were written
   * down before wait until it is switched on.
   *
   * @throws StorageError WEBHOOK_NOT_FOUND
   */
  async setActive(key: WebhookKey, isActive: boolean): Promise<WebhookSubscription> {
    if (!(await this.subscriptions.setActive(key, isActive))) throw webhookNotFound(key);
    return await this.find(key);
  }

  /** @throws StorageError WEBHOOK_NOT_FOUND */
  async delete(key: WebhookKey): Promise<void> {
    if (!(await this.subscriptions.delete(key))) throw webhookNotFound(key);
  }

  /**
   * A new secret; the one before signs beside it for a day. The URL is sealed anew with it, so that after a change of
   * DATA_ENCRYPTION_KEY nothing needs the key before.
   *
   * @throws StorageError WEBHOOK_NOT_FOUND
   */
  async rotateSecret(key: WebhookKey): Promise<{ webhook: WebhookSubscription; secret: string }> {
    const secret = createWebhookSecret();
    const { urlSealed } = await this.find(key);
    const sealed = {
      secretSealed: this.secrets.seal(secret, secretContext(key.id)),
      urlSealed: this.sealAnew(urlSealed, urlContext(key.id)),
    };
    if (!(await this.subscriptions.rotateSecret(key, sealed))) throw webhookNotFound(key);
    return { webhook: await this.find(key), secret };
  }

  /** What cannot be opened stays as it is: its key may be configured again. */
  private sealAnew(sealed: Uint8Array, context: string): Uint8Array {
    try {
      return this.secrets.seal(this.secrets.open(sealed, context), context);
    } catch (error) {
      if (error instanceof SecretBoxError) return sealed;
      throw error;
    }
  }

  /** @throws StorageError WEBHOOK_NOT_FOUND, INVALID_CURSOR */
  async listDeliveries(key: WebhookKey, page: { cursor?: string | undefined; limit: number }): Promise<DeliveryPage> {
    const { id } = await this.find(key);
    return await this.deliveries.list(id, page);
  }

  /**
   * Sends a delivery again, whatever became of it.
   *
   * @throws StorageError WEBHOOK_NOT_FOUND, DELIVERY_NOT_FOUND
   */
  async replay(key: WebhookKey, deliveryId: string): Promise<WebhookDelivery> {
    const { id: subscriptionId } = await this.find(key);
    const place = { subscriptionId, id: deliveryId };
    if ((await this.deliveries.find(place)) === null) throw deliveryNotFound(`there is no delivery ${deliveryId}`);
    await this.deliveries.replay({ id: deliveryId });
    const delivery = await this.deliveries.find(place);
    if (delivery === null) throw deliveryNotFound(`delivery ${deliveryId} is gone`);
    return delivery;
  }

  /**
   * For commands, which ask for no workspace: one delivery, or all of an event.
   *
   * @throws StorageError DELIVERY_NOT_FOUND
   */
  async replayAny(deliveries: { id: string } | { eventId: string }): Promise<number> {
    const count = await this.deliveries.replay(deliveries);
    if (count === 0) throw deliveryNotFound('there is no such delivery, or no webhook was told of that event');
    return count;
  }
}

/** Where a webhook's URL and secrets are sealed for: moved to another row, they cannot be opened. */
export const urlContext = (subscriptionId: string) => `webhook url ${subscriptionId}`;
export const secretContext = (subscriptionId: string) => `webhook secret ${subscriptionId}`;

function webhookNotFound({ id }: WebhookKey): StorageError {
  return new StorageError('WEBHOOK_NOT_FOUND', `there is no webhook ${id} in this workspace`);
}

function deliveryNotFound(message: string): StorageError {
  return new StorageError('DELIVERY_NOT_FOUND', message);
}
