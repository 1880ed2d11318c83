import { z } from 'zod';
import { pageOf } from '../http/request-schemas.js';
import {
  EVENT_TYPES,
  type WebhookDelivery,
  type WebhookSubscription,
} from '../storage/events/webhook-subscriptions.js';

const eventTypeSchema = z.enum(EVENT_TYPES, `must be one of ${EVENT_TYPES.join(', ')}`);

/** The shape alone: the rules of URLs are those of sources, and addresses are judged at every connection. */
export const newWebhookSchema = z
  .strictObject({
    url: z
      .string('must be a string')
      .max(8_192, 'must have at most 8192 characters')
      .meta({ description: 'Where events are posted to', format: 'uri', examples: ['https://app.example.com/hooks'] }),
    eventTypes: z
      .array(eventTypeSchema, 'must be a list of event types')
      .min(1, 'must name at least one event type')
      .max(EVENT_TYPES.length, 'must name no event type twice'),
  })
  .meta({ id: 'NewWebhook' });

export const webhookChangeSchema = z
  .strictObject({ isActive: z.boolean('must be true or false').meta({ description: 'Whether it is told of events' }) })
  .meta({ id: 'WebhookChange' });

export const webhookSchema = z
  .object({
    id: z.guid(),
    workspaceId: z.guid(),
    url: z.string().meta({ description: 'Without its query, which may hold a token' }),
    eventTypes: z.array(z.string()).meta({ examples: [['storage.file.done']] }),
    isActive: z.boolean().meta({ description: 'False: events make no deliveries for it, and those made before wait' }),
    previousSecretUntil: z.iso.datetime().nullable().meta({ description: 'Until when two secrets sign' }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Webhook' });

export const webhookWithSecretSchema = webhookSchema
  .extend({
    secret: z
      .string()
      .regex(/^whsec_/)
      .meta({ description: 'What signs its deliveries; it is never shown again' }),
  })
  .meta({ id: 'WebhookWithSecret' });

export const webhookListSchema = z.object({ items: z.array(webhookSchema) }).meta({ id: 'WebhookList' });

export const deliverySchema = z
  .object({
    id: z.guid(),
    eventId: z.guid().meta({ description: 'The header `webhook-id`: the same in every try' }),
    eventType: z.string(),
    status: z.enum(['PENDING', 'DELIVERED', 'FAILED']),
    attempts: z.int().min(0),
    responseStatus: z.int().nullable().meta({ description: 'Of the last answer; null where there was none' }),
    lastError: z.string().nullable(),
    nextAttemptAt: z.iso.datetime().nullable().meta({ description: 'null once it is DELIVERED or FAILED' }),
    createdAt: z.iso.datetime(),
    deliveredAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'WebhookDelivery' });

export const deliveryPageSchema = pageOf(deliverySchema).meta({ id: 'WebhookDeliveryPage' });

export type NewWebhookDto = z.output<typeof newWebhookSchema>;
export type WebhookChangeDto = z.output<typeof webhookChangeSchema>;
export type WebhookDto = z.output<typeof webhookSchema>;
export type WebhookWithSecretDto = z.output<typeof webhookWithSecretSchema>;
export type DeliveryDto = z.output<typeof deliverySchema>;

export function toWebhookDto(webhook: WebhookSubscription): WebhookDto {
  return {
    id: webhook.id,
    workspaceId: webhook.workspaceId,
    url: webhook.url,
    eventTypes: webhook.eventTypes,
    isActive: webhook.isActive,
    previousSecretUntil: webhook.previousSecretUntil?.toISOString() ?? null,
    createdAt: webhook.createdAt.toISOString(),
    updatedAt: webhook.updatedAt.toISOString(),
  };
}

export function toDeliveryDto(delivery: WebhookDelivery): DeliveryDto {
  const { status, nextAttemptAt, finishedAt } = delivery;
  return {
    id: delivery.id,
    eventId: delivery.eventId,
    eventType: delivery.eventType,
    status,
    attempts: delivery.attempts,
    responseStatus: delivery.responseStatus,
    lastError: delivery.lastError,
    nextAttemptAt: status === 'PENDING' ? nextAttemptAt.toISOString() : null,
    createdAt: delivery.createdAt.toISOString(),
    deliveredAt: status === 'DELIVERED' ? (finishedAt?.toISOString() ?? null) : null,
  };
}
