"""The numbers of preprocessing, each stated once; the page to draw on takes them from here.

Lengths in pixels are those of a 28×28 image and grow with the image's side.
"""

SMALLEST_SIDE, LARGEST_SIDE = 8, 256  # of an image
PUBLISHED_SIDE = 28
# Ink is looked for in a copy of at most this many pixels a side: twice the largest image.
WORKING_SIDE = 512

# A picture is blank if its darkest and its lightest values lie closer together than this. A few
# pixels at either end don't count.
LEAST_CONTRAST = 20
DARKEST_PERCENTILE, LIGHTEST_PERCENTILE = 0.1, 99.9

# The ground is fitted to at most about so many points a side, again and again without the ink.
GROUND_POINTS = 64
GROUND_ROUNDS = 5
GROUND_LEAST_POINTS = 32

# A part of the ink that takes more than this share of one side is a table's edge or a shadow.
ALONG_SIDE = 0.6
# A part smaller than this share of the largest part is dust.
DUST = 0.05
# The standard deviation of normally distributed noise in units of its median deviation.
NOISE_IN_DEVIATIONS = 1.4826
# No ink is as faint as this many standard deviations of the noise, or as this share of full ink.
NOISE_FLOOR = 3
FAINTEST_INK = 0.08
FULL_INK_PERCENTILE = 95

# MNIST: the longer side of the ink's bounding box. An image whose centre of mass lies less than
# this far from the middle follows the preprocessing already.
MNIST_BOX = 20
MNIST_OFF_CENTRE = 1.5

# EMNIST: the longer side of the box and by how much it may differ in an image that follows the
# preprocessing already, since the bicubic filter leaves a trace on either side.
EMNIST_BOX = 24
EMNIST_TRACE = 2
# The ink is softened at this many times the image's size, by a Gaussian of this sigma that is cut
# off at this many pixels.
EMNIST_ENLARGEMENT = 3.5
EMNIST_SIGMA = 1
EMNIST_REACH = 2
