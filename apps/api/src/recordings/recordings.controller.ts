import { Body, Controller, Get, Header, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ApiProblems } from '../http/api-problems.decorator.js';
import { HttpProblem } from '../http/http-problem.js';
import { idSchema, type PresignedUrlDto, pageFields, presignedUrlSchema } from '../http/request-schemas.js';
import { EventDispatcher } from '../storage/events/event-dispatcher.js';
import {
  type NewRecordingDto,
  newRecordingSchema,
  type RecordingDto,
  recordingPageSchema,
  recordingSchema,
  toRecordingDto,
} from './recording.dto.js';
import { type Recording, RecordingRepository } from './recording.repository.js';
import { RecordingVideosService } from './recording-videos.service.js';

const listSchema = z.strictObject(pageFields);

@ApiTags('recordings')
@Controller('workspaces/:workspaceId/recordings')
export class RecordingsController {
  constructor(
    private readonly recordings: RecordingRepository,
    private readonly videos: RecordingVideosService,
    private readonly events: EventDispatcher,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Make a recording; its video is transferred at once' })
  @ApiCreatedResponse({ description: 'The recording, its transfer about to begin', standardSchema: recordingSchema })
  @ApiProblems({
    400: 'INVALID_REQUEST, SOURCE_URL_INVALID, MALFORMED_REQUEST',
    413: 'BODY_TOO_LARGE',
    415: 'UNSUPPORTED_MEDIA_TYPE',
    422: 'SOURCE_ADDRESS_BLOCKED',
  })
  async create(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Body({ schema: newRecordingSchema }) body: NewRecordingDto,
  ): Promise<RecordingDto> {
    this.videos.assertTransferable(body.externalVideoUrl);
    const recording = await this.recordings.create({ workspaceId, ...body });
    this.events.poke();
    return toRecordingDto(recording, undefined);
  }

  @Get()
  @ApiOperation({ summary: 'Recordings with the state of their videos, newest first' })
  @ApiOkResponse({ description: 'One page', standardSchema: recordingPageSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST, INVALID_CURSOR' })
  async list(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Query({ schema: listSchema }) query: z.output<typeof listSchema>,
  ): Promise<z.output<typeof recordingPageSchema>> {
    const { recordings, nextCursor } = await this.recordings.listInWorkspace(workspaceId, query);
    const files = await this.videos.findFiles(workspaceId, recordings);
    return {
      items: recordings.map((recording) => toRecordingDto(recording, files.get(recording.id))),
      nextCursor: nextCursor ?? null,
    };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One recording with the state of its video' })
  @ApiOkResponse({ description: 'The recording', standardSchema: recordingSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'RECORDING_NOT_FOUND' })
  async findOne(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<RecordingDto> {
    const recording = await this.find(workspaceId, id);
    const files = await this.videos.findFiles(workspaceId, [recording]);
    return toRecordingDto(recording, files.get(id));
  }

  @Get(':id/video-url')
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'A presigned URL that plays the video, for one hour' })
  @ApiOkResponse({ description: 'The URL and its end', standardSchema: presignedUrlSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'RECORDING_NOT_FOUND', 409: 'FILE_NOT_READY, FILE_DELETED' })
  async presignVideo(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<PresignedUrlDto> {
    const { url, expiresAt } = await this.videos.presign(await this.find(workspaceId, id));
    return { url, expiresAt: expiresAt.toISOString() };
  }

  private async find(workspaceId: string, id: string): Promise<Recording> {
    const recording = await this.recordings.findInWorkspace({ workspaceId, id });
    if (recording !== null) return recording;
    throw new HttpProblem({
      status: 404,
      code: 'RECORDING_NOT_FOUND',
      detail: `there is no recording ${id} in this workspace`,
    });
  }
}
