import { WebhookSubscriptions } from '../storage/events/webhook-subscriptions.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { openStorage } from './storage-context.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

interface ReplayOptions {
  deliveryId?: string | undefined;
  event?: string;
}

/** @throws CliError USAGE; StorageError DELIVERY_NOT_FOUND */
export async function replayWebhooks(context: CommandContext, { deliveryId, event }: ReplayOptions): Promise<void> {
  const id = deliveryId ?? event;
  if (id === undefined || (deliveryId !== undefined && event !== undefined)) {
    throw new CliError('USAGE', 'name a delivery, or an event by --event');
  }
  if (!UUID.test(id)) throw new CliError('USAGE', `${id} is no UUID`);
  await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  const webhooks = storage.get(WebhookSubscriptions, { strict: false });
  const count = await webhooks.replayAny(deliveryId === undefined ? { eventId: id } : { id });
  console.log(`${count} ${count === 1 ? 'delivery is' : 'deliveries are'} due now; a running API sends them.`);
}
