"""Other ways to propose grasps, under the same data, conditions, refinement and ranking; and what each choice is worth.

Research code: the deployed path never imports it.
"""
