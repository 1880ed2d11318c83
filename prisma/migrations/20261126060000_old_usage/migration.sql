-- Finds what is old and forgotten.
CREATE INDEX "core_storage_usage_day_idx" ON "core_storage_usage"("day");
