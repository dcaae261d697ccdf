-- What the pipeline loaded as Parquet: one table a schema version, and one view over all of them in the newest schema.
-- Below these folders lie intact files alone. The last two columns come from the folders' names.
--
-- Spark lists a table's files when it makes the table, and again for a view over it. So both are made over an empty
-- folder, and the tables are led to their files afterwards: nothing waits for storage, nor for Spark's first touch of it.

CREATE TABLE readings_v3 (
    event_id bigint, device bigint, at timestamp, reading bigint, unit string, site string, message string,
    source string, date date
) USING parquet LOCATION '/srv';

CREATE TABLE readings_v4 (
    event_id bigint, device bigint, at timestamp, reading decimal(18, 3), unit string, site string, message string,
    source string, date date
) USING parquet LOCATION '/srv';

CREATE TABLE readings_v5 (
    event_id bigint, sensor bigint, at timestamp, reading decimal(18, 3), unit string, site string, message string,
    source string, date date
) USING parquet LOCATION '/srv';

CREATE TABLE readings_v6 (
    event_id bigint, sensor bigint, at timestamp, measurement struct<value: decimal(18, 3), unit: string>,
    place struct<site: string, floor: bigint>, message string, source string, date date
) USING parquet LOCATION '/srv';

CREATE OR REPLACE VIEW readings AS
SELECT 3 AS version, source, date, event_id, device AS sensor, at, CAST(reading AS decimal(18, 3)) AS value, unit, site,
       message
FROM readings_v3
UNION ALL
SELECT 4, source, date, event_id, device, at, reading, unit, site, message FROM readings_v4
UNION ALL
SELECT 5, source, date, event_id, sensor, at, reading, unit, site, message FROM readings_v5
UNION ALL
SELECT 6, source, date, event_id, sensor, at, measurement.value, measurement.unit, place.site, message FROM readings_v6;

ALTER TABLE readings_v3 SET LOCATION 's3a://app/ingest/loaded/v3';

ALTER TABLE readings_v4 SET LOCATION 's3a://app/ingest/loaded/v4';

ALTER TABLE readings_v5 SET LOCATION 's3a://app/ingest/loaded/v5';

ALTER TABLE readings_v6 SET LOCATION 's3a://app/ingest/loaded/v6';
