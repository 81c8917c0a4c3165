"""How each experiment's facts answer its question, in a few words.

Experiments declare their facts in `guest/experiments/`; words for them are declared here, on the
host, since they are no part of what is asked: an answer stays valid when its words change.
"""
