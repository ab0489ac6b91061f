"""Grasps without a network: a preshaped hand laid on pairs of facing points. Synthesis and the baseline start here."""
