import { fromPrisma, PgBoss } from 'pg-boss';

console.log(Object.keys(await import('pg-boss')));
