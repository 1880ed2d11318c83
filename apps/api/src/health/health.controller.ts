import { Controller, Get, Header, HttpCode, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Public } from '../auth/public.decorator.js';
import { type Readiness, ReadinessProbe, readinessSchema } from './readiness.js';

const livenessSchema = z.object({ status: z.literal('live') });

/** For load balancers and orchestrators: no token, and nothing said of hosts or secrets. */
@Public()
@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly probe: ReadinessProbe) {}

  @Get('live')
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'The process runs', security: [] })
  @ApiOkResponse({ description: 'It does', standardSchema: livenessSchema })
  live(): z.output<typeof livenessSchema> {
    return { status: 'live' };
  }

  @Get('ready')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'Database and bucket answer', security: [] })
  @ApiOkResponse({ description: 'Send requests', standardSchema: readinessSchema })
  @ApiServiceUnavailableResponse({ description: 'Send none now', standardSchema: readinessSchema })
  async ready(@Res({ passthrough: true }) reply: { status(code: number): unknown }): Promise<Readiness> {
    const readiness = await this.probe.check();
    if (readiness.status === 'unavailable') reply.status(503);
    return readiness;
  }
}
