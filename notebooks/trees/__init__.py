"""What the tree notebook needs beside the losses: data, network, evaluation, pictures."""
