"""A preshaped hand laid on pairs of facing points: where further draws, synthesis and the baseline start."""
