"""MinIO."""

from envctl.services.minio.service import Minio, MinioHandle

__all__ = ["Minio", "MinioHandle"]
