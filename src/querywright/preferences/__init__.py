"""Several models answer, judges rate, and a dataset comes out that DPO trains on."""
