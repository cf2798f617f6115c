"""From feedback to a better model: export, retraining, judging, promotion, rollback."""
