"""What the evaluation service does for one team, and for one request, at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quotas:
    """The limits of the evaluation service; each is a variable of the environment (`QUERYWRIGHT_LIMIT_UPLOAD_BYTES`).

    Attributes:
        upload_bytes: size of one upload, in bytes.
        upload_s: time in which an upload has to arrive, in seconds.
        stall_s: time in which the next piece of it has to arrive, in seconds.
        uploading: uploads that are received at once; one more is asked to come back.
        uploading_per_team: of one team.
        reading: uploads that are read (parsed) at once: each may take some times its size of memory.
        uploads_per_team: uploads that a team may keep.
        bytes_per_team: their bytes together.
        recorded_bytes: of all different documents that a team has posted, deleted ones too: MLflow keeps their copies.
        chunks: of one upload.
        windows: of one upload.
        window_chunks: of all windows of one upload together: a chunk counts in each window that holds it.
        rows_bytes: size of the synthetic rows of one request, in bytes.
        rows_per_run: synthetic rows of one run, all requests together.
        run_bytes: the rows of one run together, in bytes as JSON: each request reads and writes all of them.
        posted_runs: runs of posted rows that a team may have.
        jobs_per_team: jobs of one team that may be queued or running; recording its uploads does not count.
        questions: questions that may be asked for per window.
        models: that one evaluation may compare.
        keep_free_bytes: free disk space below which no upload, no rows and no jobs are taken, in bytes.
    """

    upload_bytes: int = 32 * 2**20
    upload_s: float = 600.0
    stall_s: float = 30.0
    uploading: int = 64
    uploading_per_team: int = 16
    reading: int = 2
    uploads_per_team: int = 1_000
    bytes_per_team: int = 4 * 2**30
    recorded_bytes: int = 16 * 2**30
    chunks: int = 100_000
    windows: int = 10_000
    window_chunks: int = 1_000_000
    rows_bytes: int = 32 * 2**20
    rows_per_run: int = 100_000
    run_bytes: int = 64 * 2**20
    posted_runs: int = 200
    jobs_per_team: int = 100
    questions: int = 20
    models: int = 16
    keep_free_bytes: int = 256 * 2**20
