"""The numbers of preprocessing, each stated once; the page to draw on takes them from here.

Lengths in pixels are those of a 28×28 image and grow with the image's side.
"""

SMALLEST_SIDE, LARGEST_SIDE = 8, 256  # of an image
PUBLISHED_SIDE = 28
# Ink is looked for in a copy of at most this many pixels a side: twice the largest image.
WORKING_SIDE = 512
# In a sheet of separate characters each of them is smaller.
SHEET_SIDE = 1024

# No camera's picture is smaller.
CAMERA_LONGER, CAMERA_SHORTER = 640, 480

# A picture is blank if its darkest and its lightest spot of 2×2 pixels differ by less than this.
LEAST_CONTRAST = 20
# Red, green or blue takes the place of grey where its contrast is so many times as large.
CLEARER_COLOUR = 2.5

# The ground is fitted to at most about so many points a side, again and again without the ink.
GROUND_POINTS = 64
GROUND_ROUNDS = 5
GROUND_LEAST_POINTS = 32

# A part of the ink that takes more than this share of one side is a table's edge or a shadow.
ALONG_SIDE = 0.6
# A part smaller than this share of the largest part is dust.
DUST = 0.05
# A part at the picture's edge that lies further from the largest part than this share of its longer
# side is something else, such as the paper's corner.
FARTHEST = 0.1
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

# A line runs straight over this share of the picture at least, from this close to one side to as
# close to the other, and at most so steeply; so many slopes are tried.
LINE_SHARE = 0.9
LINE_END = 0.02
STEEPEST_LINE = 0.06
LINE_SLOPES = 49
# A stroke that crosses a line is longer than this many times the line's thickness.
LINE_SWELL = 1.6
LINE_FRINGE = 1
# No more of a picture than this is ink and lines.
MOST_PRINTED = 0.45
# A line may be fainter than ink by so much; ink on a line is so much darker.
LINE_FAINTER, LINE_DARKER = 0.5, 1.5
# What is left of a character beside lines is at least this share of the picture's shorter side.
LEAST_CHARACTER = 0.06
# Where more than this share of a picture is light, it is the ground; or less than the rest, ink.
GROUND_SHARE = 0.6
# A ground that takes a smaller share of the picture is fitted by a plane.
CURVED_GROUND = 0.75
# A square of this share of the longer side that touches the picture's edge is no stroke but light
# or shadow. Strokes are then looked for that are at most this share of the shorter side broad, the
# finest first; if what is found is thinner than this share of that, it was found whole.
SHADOW_PATCH, STROKE_WIDTHS, FINE_STROKE = 0.25, (1 / 32, 1 / 16, 1 / 8), 0.4
# Strokes thinner than this in an image of 28×28 pixels are thickened to about so much.
THINNEST, THICKNESS = 1.7, 2.6
# So many parts, each of this share of the picture, are several characters, and so are two or more
# that together are this many times as wide as high.
SEVERAL, LEAST_PART, WIDEST_OF_PARTS = 6, 0.0002, 1.4
# Ink stands out from the ground by this many standard deviations of its noise. What doesn't, and
# noise, is no clear character if it stands out by this many grey values.
LEAST_STANDING_OUT, CLEAR = 4, 64
# In noise neighbouring pixels differ more often than this share of what chance makes, in more parts
# than this. More of a picture than this is too much ink for a character.
NOISE_CHANGES, NOISE_PARTS, MOST_INK = 0.7, 10, 0.5

# A sheet of separate characters. Lengths are shares of a character's typical height.
# Of a printed box this share of each side lies no further in than this share of the shorter side.
FRAME_SHARE, FRAME_SLACK = 0.9, 0.15
# A part this many times as wide as high is a line; a character so wide is several that touch.
WIDEST_PART, WIDEST_CHARACTER = 4, 1.5
# It is a line if something else is this many times as high as the line is thick, and the line this
# many times as long as that is high.
LEAST_BESIDE_LINE, LONGEST_BAR = 3, 1.5
# A part at the picture's edge this many times as high as characters is something else.
EDGE_SIZE = 2
# A mark smaller than this is none.
SPECK = 0.3
# Two parts are one character if one lies in the other by this share, or above it no further away
# and both together no higher than this, or if one is smaller than this share of a character and
# no further away.
PART_OVERLAP, STACK_GAP, STACK_HEIGHT, PART_GAP = 0.5, 0.35, 1.6, 0.15
