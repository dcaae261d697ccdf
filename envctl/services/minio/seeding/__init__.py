"""Loading datasets into MinIO."""

from envctl.services.minio.seeding.buckets import clear
from envctl.services.minio.seeding.loader import MinioLoader

__all__ = ["MinioLoader", "clear"]
