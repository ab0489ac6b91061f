"""What each choice of the model is worth: variants are trained for equal time and measured by one protocol.

Research code: the deployed path never imports it.
"""
