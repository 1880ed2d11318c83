import { SetMetadata } from '@nestjs/common';

export const IS_PUBLIC = Symbol('IS_PUBLIC');

/** Opens a route to everybody. Without it a route needs a bearer token and a workspace: both guards are global. */
export const Public = () => SetMetadata(IS_PUBLIC, true);
