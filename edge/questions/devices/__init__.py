"""What did real devices answer in their apps' self-tests?"""
