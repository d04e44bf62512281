"""What did devices answer in their apps' self-tests?"""
