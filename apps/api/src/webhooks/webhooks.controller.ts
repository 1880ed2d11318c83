import { Body, Controller, Delete, Get, Header, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import { z } from 'zod';
import { ApiProblems } from '../http/api-problems.decorator.js';
import { idSchema, pageFields } from '../http/request-schemas.js';
import { WebhookSubscriptions } from '../storage/events/webhook-subscriptions.js';
import {
  type DeliveryDto,
  deliveryPageSchema,
  deliverySchema,
  type NewWebhookDto,
  newWebhookSchema,
  toDeliveryDto,
  toWebhookDto,
  type WebhookChangeDto,
  type WebhookDto,
  type WebhookWithSecretDto,
  webhookChangeSchema,
  webhookListSchema,
  webhookSchema,
  webhookWithSecretSchema,
} from './webhook.dto.js';

const listSchema = z.strictObject(pageFields);

/** Who is told of a workspace's events. Every query has the workspace in it: an id of another's is not found. */
@ApiTags('webhooks')
@Controller('workspaces/:workspaceId/webhooks')
export class WebhooksController {
  constructor(private readonly webhooks: WebhookSubscriptions) {}

  @Post()
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'Have events posted to a URL; the answer alone shows the secret that signs them' })
  @ApiCreatedResponse({ description: 'The webhook and its secret', standardSchema: webhookWithSecretSchema })
  @ApiProblems({
    400: 'INVALID_REQUEST, MALFORMED_REQUEST, SOURCE_URL_INVALID',
    409: 'WEBHOOK_LIMIT',
    413: 'BODY_TOO_LARGE',
    415: 'UNSUPPORTED_MEDIA_TYPE',
    422: 'SOURCE_ADDRESS_BLOCKED',
  })
  async create(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Body({ schema: newWebhookSchema }) body: NewWebhookDto,
  ): Promise<WebhookWithSecretDto> {
    const { webhook, secret } = await this.webhooks.create({ workspaceId, ...body });
    return { ...toWebhookDto(webhook), secret };
  }

  @Get()
  @ApiOperation({ summary: 'All webhooks, newest first' })
  @ApiOkResponse({ description: 'At most 20', standardSchema: webhookListSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST' })
  async list(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
  ): Promise<z.output<typeof webhookListSchema>> {
    return { items: (await this.webhooks.list(workspaceId)).map(toWebhookDto) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One webhook' })
  @ApiOkResponse({ description: 'The webhook', standardSchema: webhookSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'WEBHOOK_NOT_FOUND' })
  async findOne(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<WebhookDto> {
    return toWebhookDto(await this.webhooks.find({ workspaceId, id }));
  }

  @Patch(':id')
  @ApiOperation({ summary: 'Switch a webhook off, or on again: what happens in between it is never told' })
  @ApiOkResponse({ description: 'The webhook', standardSchema: webhookSchema })
  @ApiProblems({
    400: 'INVALID_REQUEST, MALFORMED_REQUEST',
    404: 'WEBHOOK_NOT_FOUND',
    413: 'BODY_TOO_LARGE',
    415: 'UNSUPPORTED_MEDIA_TYPE',
  })
  async change(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: webhookChangeSchema }) { isActive }: WebhookChangeDto,
  ): Promise<WebhookDto> {
    return toWebhookDto(await this.webhooks.setActive({ workspaceId, id }, isActive));
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Tell this URL nothing more; its deliveries are gone too' })
  @ApiNoContentResponse({ description: 'Deleted' })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'WEBHOOK_NOT_FOUND' })
  async delete(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<void> {
    await this.webhooks.delete({ workspaceId, id });
  }

  @Post(':id/rotate-secret')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'A new secret; for a day the one before signs beside it' })
  @ApiOkResponse({ description: 'The webhook and its new secret', standardSchema: webhookWithSecretSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'WEBHOOK_NOT_FOUND' })
  async rotateSecret(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<WebhookWithSecretDto> {
    const { webhook, secret } = await this.webhooks.rotateSecret({ workspaceId, id });
    return { ...toWebhookDto(webhook), secret };
  }

  @Get(':id/deliveries')
  @ApiOperation({ summary: 'What was sent, newest first' })
  @ApiOkResponse({ description: 'One page', standardSchema: deliveryPageSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST, INVALID_CURSOR', 404: 'WEBHOOK_NOT_FOUND' })
  async listDeliveries(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
    @Query({ schema: listSchema }) query: z.output<typeof listSchema>,
  ): Promise<z.output<typeof deliveryPageSchema>> {
    const { deliveries, nextCursor } = await this.webhooks.listDeliveries({ workspaceId, id }, query);
    return { items: deliveries.map(toDeliveryDto), nextCursor: nextCursor ?? null };
  }

  @Post(':id/deliveries/:deliveryId/replay')
  @HttpCode(202)
  @ApiOperation({ summary: 'Send a delivery again, whatever became of it' })
  @ApiAcceptedResponse({ description: 'The delivery, about to be sent', standardSchema: deliverySchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'WEBHOOK_NOT_FOUND, DELIVERY_NOT_FOUND' })
  async replay(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
    @Param('deliveryId', { schema: idSchema }) deliveryId: string,
  ): Promise<DeliveryDto> {
    return toDeliveryDto(await this.webhooks.replay({ workspaceId, id }, deliveryId));
  }
}
