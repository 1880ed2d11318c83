-- Since when an event's listeners fail, and that it was given up: such an event is kept, and not looked at again.
ALTER TABLE "core_outbox_event"
    ADD COLUMN "failing_since" TIMESTAMPTZ(3),
    ADD COLUMN "given_up_at" TIMESTAMPTZ(3);
DROP INDEX "core_outbox_event_dispatched_at_next_attempt_at_idx";
CREATE INDEX "core_outbox_event_given_up_at_dispatched_at_next_attempt_at_idx" ON "core_outbox_event"("given_up_at", "dispatched_at", "next_attempt_at");

CREATE TYPE "WebhookDeliveryStatus" AS ENUM ('PENDING', 'DELIVERED', 'FAILED');

-- Who wants to be told of a workspace's events, and where.
CREATE TABLE "core_webhook_subscription" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "url_sealed" BYTEA NOT NULL,
    "event_types" TEXT[],
    "secret_sealed" BYTEA NOT NULL,
    "previous_secret_sealed" BYTEA,
    "previous_secret_until" TIMESTAMPTZ(3),
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "core_webhook_subscription_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "core_webhook_subscription_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "core_workspace"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "core_webhook_subscription_workspace_id_created_at_id_idx" ON "core_webhook_subscription"("workspace_id", "created_at" DESC, "id" DESC);

-- One event on its way to one of them. No foreign key to the event, which is removed earlier.
CREATE TABLE "core_webhook_delivery" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "subscription_id" UUID NOT NULL,
    "event_id" UUID NOT NULL,
    "event_type" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "occurred_at" TIMESTAMPTZ(3) NOT NULL,
    "status" "WebhookDeliveryStatus" NOT NULL DEFAULT 'PENDING',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "failing_since" TIMESTAMPTZ(3),
    "response_status" INTEGER,
    "last_error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "core_webhook_delivery_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "core_webhook_delivery_subscription_id_fkey" FOREIGN KEY ("subscription_id") REFERENCES "core_webhook_subscription"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "core_webhook_delivery_subscription_id_event_id_key" ON "core_webhook_delivery"("subscription_id", "event_id");
CREATE INDEX "core_webhook_delivery_status_next_attempt_at_idx" ON "core_webhook_delivery"("status", "next_attempt_at");
CREATE INDEX "core_webhook_delivery_subscription_id_created_at_id_idx" ON "core_webhook_delivery"("subscription_id", "created_at" DESC, "id" DESC);
CREATE INDEX "core_webhook_delivery_event_id_idx" ON "core_webhook_delivery"("event_id");
CREATE INDEX "core_webhook_delivery_finished_at_idx" ON "core_webhook_delivery"("finished_at");
