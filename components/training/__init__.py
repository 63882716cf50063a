"""One training loop, its losses, optimizers and schedules."""

from components.training.evaluation import MeanLoss as MeanLoss
from components.training.evaluation import mean_loss as mean_loss
from components.training.loop import NonFiniteLoss as NonFiniteLoss
from components.training.loop import Step as Step
from components.training.loop import TrainingSettings as TrainingSettings
from components.training.loop import train as train
from components.training.optimizer import OptimizerSettings as OptimizerSettings
from components.training.schedule import ScheduleSettings as ScheduleSettings
