"""What runs inside a guest: the agent, the lab and the experiments.

Standard library and scapy only.
"""
