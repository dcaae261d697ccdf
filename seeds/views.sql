-- What the pipeline loaded as Parquet, one view a schema version, and one over all of them in the newest schema.
-- Below these folders lie intact files alone; `source` and `date` come from the folders' names.

CREATE OR REPLACE VIEW readings_v3 AS SELECT * FROM parquet.`s3a://app/ingest/loaded/v3`;

CREATE OR REPLACE VIEW readings_v4 AS SELECT * FROM parquet.`s3a://app/ingest/loaded/v4`;

CREATE OR REPLACE VIEW readings_v5 AS SELECT * FROM parquet.`s3a://app/ingest/loaded/v5`;

CREATE OR REPLACE VIEW readings_v6 AS SELECT * FROM parquet.`s3a://app/ingest/loaded/v6`;

CREATE OR REPLACE VIEW readings AS
SELECT 3 AS version, source, date, event_id, device AS sensor, at, CAST(reading AS decimal(18, 3)) AS value, unit, site
FROM readings_v3
UNION ALL
SELECT 4, source, date, event_id, device, at, CAST(reading AS decimal(18, 3)), unit, site FROM readings_v4
UNION ALL
SELECT 5, source, date, event_id, sensor, at, CAST(reading AS decimal(18, 3)), unit, site FROM readings_v5
UNION ALL
SELECT 6, source, date, event_id, sensor, at, CAST(measurement.value AS decimal(18, 3)), measurement.unit, place.site
FROM readings_v6;
